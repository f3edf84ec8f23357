export const LARGEST_SEED = 2 ** 31 - 1;

export const randomSeed = (): number => {
  const [value] = crypto.getRandomValues(new Uint32Array(1));
  return (value ?? 0) % LARGEST_SEED;
};
