/** Numbers drawn by lot, the same ones again for the same seed; the seed is printed. */
export function drawLots(
  what: string,
  seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000_000),
): (below: number) => number {
  process.stdout.write(`seed of ${what}: ${seed} (TEST_SEED)\n`);
  let state = seed + 0x9e3779b9;
  return (below) => {
    state = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    state = Math.imul(state ^ (state >>> 15), 0x735a2d97);
    state = (state ^ (state >>> 15)) + 0x9e3779b9;
    return (state >>> 0) % below;
  };
}
