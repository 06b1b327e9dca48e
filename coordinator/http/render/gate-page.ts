import type { GateOutcome, LinkedGate } from '@baton/runner-sdk/protocol';
import { html, ICON } from '../docs/markup';

const STATES: Record<LinkedGate['state'], string> = {
  blocked: 'It cannot be decided yet: what it waits for has not ended.',
  waiting: 'It waits for your decision.',
  opened: 'It was opened.',
  refused: 'It was refused.',
  expired: 'The time to decide was over before anybody did.',
  cancelled: 'It was cancelled.',
};
const VERBS: Record<GateOutcome, string> = { opened: 'Open', refused: 'Refuse' };

/**
 * A page with a button for each decision. Opening it decides nothing, because programs such as link previews open links
 * too.
 */
export function renderGatePage(
  { workflow, key, state, expiresAt }: LinkedGate,
  {
    style,
    actionOf,
    outcomes,
  }: { style: string; actionOf: (outcome: GateOutcome) => string; outcomes: readonly GateOutcome[] },
): string {
  const buttons =
    state === 'waiting'
      ? outcomes.map(
          (outcome) =>
            html`<form method="post" action="${actionOf(outcome)}">
              <button type="submit">${VERBS[outcome]}</button>
            </form> `,
        )
      : [];
  return `<!doctype html>\n${
    html`<html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="robots" content="noindex" />
        <title>${key} · ${workflow.name}</title>
        <link rel="icon" href="${ICON}" />
        <link rel="stylesheet" href="${style}" />
      </head>
      <body>
        <main class="welcome">
          <h1>${key}</h1>
          <p class="lead">A gate of the workflow ${workflow.name}. ${STATES[state]}</p>
          ${expiresAt === null || state !== 'waiting' ? '' : html`<p>Until <time>${expiresAt}</time>.</p>`}
          <div class="gate">${buttons}</div>
        </main>
      </body>
    </html> `.text
  }`;
}
