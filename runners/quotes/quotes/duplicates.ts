import { fold } from './normalise';

/** How an earlier text matches this one; indexes count from the first text given. */
export type Match = { duplicateOf: number } | { nearDuplicateOf: number; similarity: number } | null;

/** The least share of common trigrams at which two texts are near duplicates; README.md says how it was chosen. */
export const NEAR_DUPLICATE_SIMILARITY = 0.65;

/**
 * Finds for each of a list of texts the first earlier text with the same words (a duplicate), else the most similar
 * earlier text (a near duplicate, by the Jaccard similarity of their character trigrams). Exact and deterministic: any
 * slice of the list gets the same results as a run over the whole list.
 */
export class DuplicateFinder {
  private readonly keys: readonly string[];
  private readonly trigrams: readonly Int32Array[];
  private readonly firstWithKey = new Map<string, number>();
  private readonly postings = new Map<number, number[]>();
  private taken = 0;

  constructor(texts: readonly string[]) {
    this.keys = texts.map(fold);
    this.trigrams = rareFirst(this.keys);
  }

  /** Treats the texts before `index` as seen, without matching them. */
  skipTo(index: number): void {
    for (; this.taken < index; this.taken += 1) this.remember(this.taken);
  }

  /** The match of the next text. */
  next(): Match {
    const index = this.taken;
    const match = this.duplicateOf(index) ?? this.nearDuplicateOf(index);
    this.skipTo(index + 1);
    return match;
  }

  private duplicateOf(index: number): Match {
    const first = this.firstWithKey.get(this.keys[index] ?? '');
    return first === undefined ? null : { duplicateOf: first };
  }

  private nearDuplicateOf(index: number): Match {
    const own = this.trigramsOf(index);
    const candidates = new Set<number>();
    for (const trigram of prefix(own)) {
      for (const candidate of this.postings.get(trigram) ?? []) candidates.add(candidate);
    }
    let best: { nearDuplicateOf: number; similarity: number } | null = null;
    for (const candidate of [...candidates].sort((a, b) => a - b)) {
      const similarity = jaccard(own, this.trigramsOf(candidate));
      if (similarity < NEAR_DUPLICATE_SIMILARITY || (best !== null && similarity <= best.similarity)) continue;
      best = { nearDuplicateOf: candidate, similarity };
    }
    return best;
  }

  private remember(index: number): void {
    const key = this.keys[index] ?? '';
    if (key === '' || this.firstWithKey.has(key)) return;
    this.firstWithKey.set(key, index);
    for (const trigram of prefix(this.trigramsOf(index))) {
      const posting = this.postings.get(trigram);
      if (posting === undefined) this.postings.set(trigram, [index]);
      else posting.push(index);
    }
  }

  private trigramsOf(index: number): Int32Array {
    return this.trigrams[index] ?? new Int32Array();
  }
}

/** Each text's set of trigrams, as ranks from the rarest to the commonest of all texts. */
function rareFirst(keys: readonly string[]): Int32Array[] {
  const idOf = new Map<string, number>();
  const counts: number[] = [];
  const sets = keys.map((key) => {
    const ids = new Set<number>();
    const padded = key === '' ? '' : `  ${key} `;
    for (let at = 0; at + 3 <= padded.length; at += 1) {
      const trigram = padded.slice(at, at + 3);
      const id = idOf.get(trigram) ?? idOf.size;
      idOf.set(trigram, id);
      ids.add(id);
    }
    for (const id of ids) counts[id] = (counts[id] ?? 0) + 1;
    return Int32Array.from(ids);
  });
  const byCount = [...counts.keys()].sort((a, b) => (counts[a] ?? 0) - (counts[b] ?? 0) || a - b);
  const rankOf = new Int32Array(byCount.length);
  byCount.forEach((id, rank) => {
    rankOf[id] = rank;
  });
  return sets.map((ids) => ids.map((id) => rankOf[id] ?? 0).sort());
}

/**
 * The rarest trigrams of a set. Two similar sets share at least one of these, because the trigrams left out are too few
 * to make them similar; only texts that share one are compared (prefix filtering, Chaudhuri, Ganti and Kaushik, ICDE
 * 2006).
 */
function prefix(trigrams: Int32Array): Int32Array {
  // Slightly less than the bound: if rounding errors raised a whole number, the prefix would be one too short.
  const needed = Math.ceil(NEAR_DUPLICATE_SIMILARITY * trigrams.length - 1e-9);
  return trigrams.subarray(0, trigrams.length - needed + 1);
}

function jaccard(a: Int32Array, b: Int32Array): number {
  let common = 0;
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const difference = (a[i] ?? 0) - (b[j] ?? 0);
    if (difference === 0) common += 1;
    if (difference <= 0) i += 1;
    if (difference >= 0) j += 1;
  }
  return common === 0 ? 0 : common / (a.length + b.length - common);
}
