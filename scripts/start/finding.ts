import { existsSync, readFileSync } from 'node:fs';

interface Line {
  normalised: string;
  movie: string | null;
  year: number | null;
  faults: string[];
}

/** Describes the oddest quote in the runner's output: one said to be older than sound films, if there is any. */
export function finding(files: string[]): string | undefined {
  const lines = files.filter((file) => existsSync(file)).flatMap(readLines);
  const odd = ['year_before_sound_film', 'year_differs']
    .map((fault) => lines.find(({ faults }) => faults.includes(fault)))
    .find((line) => line !== undefined);
  return odd === undefined ? undefined : `“${odd.normalised}” ${odd.movie ?? 'a film'}, said to be of ${odd.year}`;
}

function readLines(file: string): Line[] {
  const texts = readFileSync(file, 'utf8').split('\n');
  return texts.filter((text) => text !== '').map((text) => JSON.parse(text) as Line);
}
