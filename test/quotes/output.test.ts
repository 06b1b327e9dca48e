import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { NdjsonOutput } from '../../runners/quotes/quotes/output';

it('gets the same file when a runner that lost its job wakes up and writes on', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'quotes-'));
  const file = path.join(directory, 'made', 'when', 'needed.ndjson');
  const rows = Array.from({ length: 10 }, (_, index) => ({ index, text: 'é'.repeat(index) }));
  const late = await NdjsonOutput.create(file);
  for (const row of rows.slice(0, 3)) await late.write(row);
  const checkpointBytes = late.bytes;
  for (const row of rows.slice(3, 6)) await late.write(row);

  const next = await NdjsonOutput.resume(file, checkpointBytes);
  if (next === null) throw new Error('the file was not found');
  await next.write(rows[3] ?? {});
  await late.write(rows[6] ?? {});
  for (const row of rows.slice(4)) await next.write(row);
  await late.write(rows[7] ?? {});
  await late.close();
  await next.close();

  expect(await readFile(file, 'utf8')).toBe(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  await rm(directory, { recursive: true });
});
