import { Option } from '@commander-js/extra-typings';
import { collectOf } from './values';

/** An option that takes one of a few words. */
export function choice<Flags extends string, Word extends string>(
  flags: Flags,
  description: string,
  words: readonly Word[],
) {
  return new Option(flags, description).choices(words);
}

/** The same for several words: repeated, or separated by commas. */
export function choices<Flags extends string, Word extends string>(
  flags: Flags,
  description: string,
  words: readonly Word[],
) {
  const option = new Option(flags, description).argParser(collectOf(words));
  // For help and completion only; the parser validates.
  option.argChoices = [...words];
  return option;
}
