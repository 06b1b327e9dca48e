import { apiUrl } from '../place';

/** The line for a shell that creates a job. The key is left to the environment, lest it is copied around. */
export function createExample(type: string, args: unknown, options: Record<string, unknown> = {}): string {
  const body = JSON.stringify({ type, arguments: args, ...options });
  return [
    `curl -X POST ${apiUrl}jobs`,
    '-H "Authorization: Bearer $BATON_KEY"',
    "-H 'Content-Type: application/json'",
    `-d ${quoted(body)}`,
  ].join(' \\\n  ');
}

/** The same in TypeScript. */
export function createInSdk(type: string, args: unknown, options: Record<string, unknown> = {}): string {
  const given = Object.keys(options).length === 0 ? '' : `, ${JSON.stringify(options, null, 2)}`;
  return `import { Client } from '@baton/runner-sdk';

const client = new Client({ coordinatorUrl: ${JSON.stringify(apiUrl.replace(/\/$/, ''))}, apiKey: process.env.BATON_KEY });
const job = await client.create(${JSON.stringify(type)}, ${JSON.stringify(args, null, 2)}${given});
`;
}

/** For a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
