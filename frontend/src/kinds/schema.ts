/** Reads what a form needs from the JSON Schema of a kind's settings, and adapts values to it. */

export type Schema = Record<string, unknown>;
export type Values = Record<string, unknown>;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Follows `$ref` into `$defs`, and takes the branch that is not null from anyOf (an optional field). */
function resolve(root: Schema, node: unknown): Schema {
  if (!isObject(node)) return {};
  if (typeof node.$ref === "string") {
    const found = node.$ref
      .replace(/^#\//, "")
      .split("/")
      .reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), root);
    return { ...resolve(root, found), ...without(node, "$ref") };
  }
  for (const key of ["anyOf", "allOf"] as const) {
    const branch = (node[key] as unknown[] | undefined)?.find((one) => isObject(one) && one.type !== "null");
    if (branch) return { ...resolve(root, branch), ...without(node, key) };
  }
  return node;
}

const without = (node: Schema, key: string): Schema =>
  Object.fromEntries(Object.entries(node).filter(([name]) => name !== key));

/** The schema of a field by its dotted path, for example "camera.move"; null when the model has no such field. */
export function field(root: Schema, path: string): Schema | null {
  let node = resolve(root, root);
  for (const name of path.split(".")) {
    const properties = node.properties;
    if (!isObject(properties) || !(name in properties)) return null;
    node = resolve(root, properties[name]);
  }
  return node;
}

/** The values a field may take, in the schema's order. */
export function choices<T extends string | number>(root: Schema, path: string): T[] {
  const node = field(root, path);
  if (!node) return [];
  if ("const" in node) return [node.const as T];
  return (node.enum as T[] | undefined) ?? [];
}

export interface Bounds {
  min: number;
  max: number;
}

export function bounds(root: Schema, path: string, otherwise: Bounds): Bounds {
  const node = field(root, path) ?? {};
  return {
    min: Number(node.minimum ?? node.exclusiveMinimum ?? otherwise.min),
    max: Number(node.maximum ?? node.exclusiveMaximum ?? otherwise.max),
  };
}

/**
 * Old or foreign values as this schema would accept them: fields it does not know are dropped, numbers are
 * brought into bounds, and whatever else does not fit becomes the default. Text stays whole however long it is:
 * its writer shortens it, not the page.
 */
export function adapt(root: Schema, defaults: Values, values: Values, prefix = ""): Values {
  const adapted: Values = {};
  for (const [name, standard] of Object.entries(defaults)) {
    const path = prefix + name;
    const node = field(root, path);
    if (!node) continue;
    const value = values[name];
    adapted[name] =
      isObject(standard) && isObject(value)
        ? adapt(root, standard, value, `${path}.`)
        : adaptOne(node, standard, value);
  }
  return adapted;
}

function adaptOne(node: Schema, standard: unknown, value: unknown): unknown {
  if (value === undefined) return standard;
  const allowed = node.enum as unknown[] | undefined;
  if (allowed) return allowed.includes(value) ? value : standard;
  if (typeof value === "number") return adaptNumber(node, standard, value);
  if (typeof value === "string") return node.type === "string" ? value : standard;
  return value === null && standard === null ? null : standard;
}

function adaptNumber(node: Schema, standard: unknown, value: number): unknown {
  if ((node.type !== "number" && node.type !== "integer") || !Number.isFinite(value)) return standard;
  const low = (node.minimum as number | undefined) ?? Number.NEGATIVE_INFINITY;
  const high = (node.maximum as number | undefined) ?? Number.POSITIVE_INFINITY;
  return Math.min(high, Math.max(low, value));
}

/** The values with the field at a dotted path changed; nothing is changed in place. */
export function withField(values: Values, path: string, value: unknown): Values {
  const [name, ...rest] = path.split(".") as [string, ...string[]];
  if (rest.length === 0) return { ...values, [name]: value };
  const inner = isObject(values[name]) ? values[name] : {};
  return { ...values, [name]: withField(inner, rest.join("."), value) };
}

export function readField<T>(values: Values, path: string): T {
  return path.split(".").reduce<unknown>((at, name) => (isObject(at) ? at[name] : undefined), values) as T;
}
