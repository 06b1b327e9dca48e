import type { ERRORS } from '../../errors';
import { type ApiDocument, routesOf } from './document';

interface Link {
  title: string;
  url: string;
  about: string;
}

/** Documentation served by the coordinator. */
const SERVED: readonly Link[] = [
  { title: 'API reference', url: '/docs', about: 'every operation with its fields and examples, for people' },
  { title: 'OpenAPI 3.1 document', url: '/openapi.json', about: 'the same for programs' },
];

/**
 * The API as one text, for language models and terminals, in the format of llmstxt.org.
 * @param more links to documentation beside what the coordinator serves
 */
export function renderLlms(document: ApiDocument, errors: typeof ERRORS, more: readonly Link[] = []): string {
  const routes = routesOf(document);
  const [summary = '', ...notes] = document.info.description.split('\n').filter((line) => line !== '');
  const chapters = document.tags.map(({ name, description }) => {
    const own = routes.filter(({ tags }) => tags.includes(name));
    return `### ${name}\n\n${description}\n\n${own.map(lineOf).join('\n')}`;
  });
  const kinds = Object.entries(errors).map(
    ([code, { status, title, remedy }]) => `- \`${code}\` (${status}): ${title}. ${remedy}`,
  );
  return `${[
    `# ${document.info.title}`,
    `> ${summary}`,
    notes.join('\n'),
    '## Documentation',
    [...SERVED, ...more].map(({ title, url, about }) => `- [${title}](${url}): ${about}`).join('\n'),
    '## A job from its creation to its end',
    LIFE,
    '## Operations',
    ...chapters,
    '## Errors',
    kinds.join('\n'),
  ].join('\n\n')}\n`;
}

function lineOf({ method, path, summary, operationId, security }: ReturnType<typeof routesOf>[number]): string {
  return `- \`${method.toUpperCase()} ${path}\` (${operationId}): ${summary}${security === undefined ? '' : '; needs no key'}`;
}

const LIFE = `\`\`\`sh
# An application creates a job. KEY is a key of role admin, producer or user.
curl "$COORDINATOR_URL/jobs" -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \\
  -d '{"type": "send-mail", "arguments": {"to": "ada@example.com"}}'

# A runner claims it. RUNNER_KEY is a key of role runner. The answer holds id, arguments and leaseToken of each job.
curl "$COORDINATOR_URL/jobs/claim" -H "Authorization: Bearer $RUNNER_KEY" -H 'Content-Type: application/json' \\
  -d '{"runnerId": "mailer-1", "types": ["send-mail"], "waitMs": 20000}'

# The runner reports the outcome. Until then it sends POST /jobs/$ID/heartbeat before each lease expires.
curl "$COORDINATOR_URL/jobs/$ID/complete" -H "Authorization: Bearer $RUNNER_KEY" -H 'Content-Type: application/json' \\
  -d '{"leaseToken": "'$LEASE_TOKEN'", "outcome": "completed", "result": {"messageId": "1017"}}'

# The application waits for the end of the job, and reads its result.
curl "$COORDINATOR_URL/jobs/$ID/wait" -H "Authorization: Bearer $KEY"
\`\`\``;
