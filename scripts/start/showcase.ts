import { batchQuoteProcess, quotesNightly } from '@baton/runner-quotes/jobs';
import type { Client } from '@baton/runner-sdk';

const TAGS = ['npm-start'];
const LINES = [
  ['Here’s looking at you, kid.', 'Casablanca'],
  ['You’re gonna need a bigger boat.', 'Jaws'],
  ['I’ll be back.', 'The Terminator'],
  ['There’s no place like home.', 'The Wizard of Oz'],
  ['Nobody’s perfect.', 'Some Like It Hot'],
] as const;
const ALERT = 'many failed for good';

/**
 * Something for every screen of the dashboard: a batch, a workflow whose gate waits for a decision, a schedule, an
 * alert, and a job that fails for good. All of it has keys or names of its own, so that the next start adds nothing.
 */
export async function makeShowcase(client: Client): Promise<void> {
  const { timeZone: timezone } = Intl.DateTimeFormat().resolvedOptions();
  await client.create(
    batchQuoteProcess,
    { file: 'a-file-that-is-missing.json' },
    { tags: TAGS, idempotencyKey: 'npm-start-missing' },
  );
  await client.batches.create(
    batchQuoteProcess,
    LINES.map(([quote, movie]) => ({ quotes: [{ quote, movie }] })),
    { name: 'quotes of the day', idempotencyKey: 'npm-start-batch', jobs: { tags: TAGS } },
  );
  await client.workflow(
    'review',
    (workflow) => {
      const [first, second] = LINES.slice(0, 2).map(([quote], nth) =>
        workflow.add(batchQuoteProcess, { quotes: [quote] }, { key: `read-${nth + 1}`, tags: TAGS }),
      );
      const read = [first, second].filter((step) => step !== undefined);
      const approved = workflow.gate('approve', { after: read });
      workflow.add(batchQuoteProcess, { quotes: [LINES[4][0]] }, { key: 'publish', after: [approved], tags: TAGS });
    },
    { idempotencyKey: 'npm-start-workflow' },
  );
  await client.schedules.put(quotesNightly, {}, { name: 'nightly-quotes', cron: '0 2 * * *', timezone });
  const { items } = await client.alerts.list();
  if (!items.some(({ name }) => name === ALERT))
    await client.alerts.create({ name: ALERT, measure: 'failureRate', threshold: 0.2, windowMs: 3_600_000 });
}
