/** The shapes of the REST interface, by the names the page uses. `npm run types` makes schema.d.ts from openapi.yaml. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Asset = Schemas["Asset"];
/** `window`: left, top, right, bottom as fractions of the photo. */
export type Framing = Omit<Schemas["Framing"], "window"> & { window: [number, number, number, number] };
export type Notice = Schemas["Notice"];
export type JobError = Schemas["JobError"];
export type JobState = Schemas["JobStateEnum"];
export type JobResult = Schemas["JobResult"];
export type Member = Schemas["Member"];
export type AddedMember = Schemas["AddedMember"];
export type ApiKey = Schemas["Key"];
export type MadeApiKey = Schemas["MadeKey"];
export type Brand = Schemas["Brand"];
export type Product = Schemas["Product"];
export type Model = Schemas["Model"];
export type KindSpec = Schemas["Form"];
export type Session = Schemas["Session"];
export type FieldProblem = Schemas["ProblemField"];
export type JobEvent = Schemas["Event"];

/** Settings of any kind of job; a kind's panel knows its own fields. */
export type Settings = { asset_id: string } & Record<string, unknown>;

export type Job = Omit<Schemas["Job"], "settings"> & { settings: Settings };

export interface Page<T> {
  results: T[];
  next: string | null;
}
