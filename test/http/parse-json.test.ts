import { parseJson as parseShort } from '@baton/runner-sdk/protocol';
import fc from 'fast-check';
import { MOST_CONTAINERS, parseJson } from '../../coordinator/http/body/parse-json';

const SMALL = 8;

/** What is made of a text, or that it is none. */
async function outcome(parse: () => unknown): Promise<unknown> {
  try {
    return { value: await parse() };
  } catch {
    return 'malformed';
  }
}

const alike = async (text: string, chunkBytes: number): Promise<void> => {
  const whole = await outcome(() => parseShort(text));
  expect(await outcome(() => parseJson(Buffer.from(text), chunkBytes))).toEqual(whole);
};

test('long text is read as JSON.parse reads it, wherever it is taken apart', async () => {
  await fc.assert(fc.asyncProperty(fc.json({ maxDepth: 5 }), fc.integer({ min: 1, max: 60 }), fc.nat(2), indented), {
    numRuns: 3000,
  });
});

test('and refused where JSON.parse refuses it', async () => {
  const damage = fc.tuple(fc.json({ maxDepth: 4 }), fc.nat(), fc.constantFrom(...'[]{},:"\\ 0-x'), fc.boolean());
  await fc.assert(
    fc.asyncProperty(damage, fc.integer({ min: 1, max: 20 }), async ([text, place, letter, isAdded], chunkBytes) => {
      const at = text.length === 0 ? 0 : place % text.length;
      await alike(text.slice(0, at) + letter + text.slice(isAdded ? at : at + 1), chunkBytes);
    }),
    { numRuns: 5000 },
  );
});

test.each([
  '{"a":-[1,2,3,4,5,6,7,8]}',
  '{"a":1[1,2,3,4,5,6,7,8]}',
  '[[1,2,3,4,5,6,7][1,2,3,4,5,6,7]]',
  '[1,2,3,4,5,6,7,8,]',
  '[,1,2,3,4,5,6,7,8]',
  '[                    ]',
  '{"__proto__":{"a":[1,2,3,4,5,6,7]},"b":1}',
  '{"a":[1,2,3,4,5,6,7,8],"a":1}',
  '[1,2,3,4,5,6,7,8]]',
  '[[1,2,3,4,5,6,7,8]',
  '[1,2,3,4,5,6,7,8}',
  '"a text longer than a piece"',
  '12345678901234567890',
])('%s', (text) => alike(text, SMALL));

test('a request with too many lists and objects is refused before it is parsed', async () => {
  const bytes = Buffer.from(`[${'[],'.repeat(MOST_CONTAINERS)}1]`);
  await expect(parseJson(bytes)).rejects.toMatchObject({ code: 'payload_too_large' });
});

test('others get their turn while 16 MiB are parsed', async () => {
  const escapes = Array.from({ length: 100 }, () => '"'.repeat(80_000));
  for (const jobs of [Array.from({ length: 1000 }, () => 'x'.repeat(16_000)), escapes]) {
    let turns = 0;
    const ticking = setInterval(() => (turns += 1), 0);
    expect(await parseJson(Buffer.from(JSON.stringify({ jobs })))).toEqual({ jobs });
    clearInterval(ticking);
    expect(turns).toBeGreaterThan(1);
  }
});

/** Blanks around it, as a person writes it. */
async function indented(json: string, chunkBytes: number, indent: number): Promise<void> {
  await alike(JSON.stringify(JSON.parse(json), null, indent), chunkBytes);
}
