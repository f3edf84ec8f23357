/** Who belongs to the workspace, and what it sells: lists that are read whole, page by page, and changes to them. */
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { doubtSession, request } from "./client";
import { keys } from "./keys";
import { withCursor } from "./pages";
import type { AddedMember, ApiKey, Brand, MadeApiKey, Member, Page, Product } from "./types";

const PAGE_SIZE = 50;

function usePages<T>(key: readonly string[], path: string) {
  return useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam }) => request<Page<T>>("GET", withCursor(path, pageParam, PAGE_SIZE)),
    initialPageParam: "",
    getNextPageParam: (page) => page.next,
  });
}

export const useMembers = () => usePages<Member>(keys.members, "/members");
export const useBrands = () => usePages<Brand>(keys.brands, "/brands");
export const useProducts = (brand: string) =>
  usePages<Product>(keys.productList(brand), `/products?brand_id=${brand}`);

/** A request that changes something, after which what lies under `touched` is read again. */
function useChange<In, Out>(touched: readonly (readonly string[])[], send: (input: In) => Promise<Out>) {
  const cache = useQueryClient();
  return useMutation({
    mutationFn: send,
    onSuccess: () => Promise.all(touched.map((queryKey) => cache.invalidateQueries({ queryKey }))),
  });
}

/** Whoever changes a member may be that member: what the page may show and offer is the session's to say. */
const useMembersChange = <In, Out>(send: (input: In) => Promise<Out>) =>
  useChange([keys.members], async (input: In) => {
    const changed = await send(input);
    doubtSession();
    return changed;
  });

export interface NewMember {
  email: string;
  name: string;
  role: Member["role"];
}

export const useAddMember = () =>
  useMembersChange((body: NewMember) => request<AddedMember>("POST", "/members", { body }));

export const useChangeRole = () =>
  useMembersChange(({ id, role }: Pick<Member, "id" | "role">) =>
    request<Member>("PATCH", `/members/${id}`, { body: { role } }),
  );

export const useRemoveMember = () =>
  useMembersChange((id: string) => request<void>("DELETE", `/members/${id}`));

export const useApiKeys = () => usePages<ApiKey>(keys.apiKeys, "/api-keys");

export const useMakeApiKey = () =>
  useChange([keys.apiKeys], (body: Pick<ApiKey, "name" | "role">) =>
    request<MadeApiKey>("POST", "/api-keys", { body }),
  );

export const useRevokeApiKey = () =>
  useChange([keys.apiKeys], (id: string) => request<void>("DELETE", `/api-keys/${id}`));

/** Makes a brand, or changes the one with this id. */
export const useSaveBrand = (id: string | null) =>
  useChange([keys.brands], (body: Pick<Brand, "name" | "colours">) =>
    request<Brand>(id ? "PATCH" : "POST", id ? `/brands/${id}` : "/brands", { body }),
  );

/** Makes a product of the brand, or changes the one with this id. */
export const useSaveProduct = (brand: string, id: string | null) =>
  useChange([keys.products], (body: Pick<Product, "name" | "facts">) =>
    id
      ? request<Product>("PATCH", `/products/${id}`, { body })
      : request<Product>("POST", "/products", { body: { ...body, brand_id: brand } }),
  );
