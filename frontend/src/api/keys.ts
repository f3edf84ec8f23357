/** The names under which the query cache holds the server's data. */
export const keys = {
  session: ["session"] as const,
  models: ["models"] as const,
  jobs: ["jobs"] as const,
  jobLists: ["jobs", "list"] as const,
  jobList: (filter: string) => ["jobs", "list", filter] as const,
  activeJobs: ["jobs", "active"] as const,
  oneJob: ["jobs", "one"] as const,
  job: (id: string) => ["jobs", "one", id] as const,
  assets: ["assets"] as const,
  assetList: ["assets", "list"] as const,
  members: ["members"] as const,
  apiKeys: ["api-keys"] as const,
  brands: ["brands"] as const,
  products: ["products"] as const,
  productList: (brand: string) => ["products", brand] as const,
  asset: (id: string) => ["assets", "one", id] as const,
};
