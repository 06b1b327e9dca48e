import { findDebian } from '../../../scripts/debian';
import { describeWith } from '../support/needs';
import { Behind } from './behind';
import { CADDY, HAPROXY, NGINX } from './proxy';

/** The longest that a claim may wait, and the proxies' own timeout. */
const LONGEST_MS = 45_000;
const SETTINGS_S = 60;

describe.each([
  { kind: NGINX, program: findDebian('nginx') },
  { kind: HAPROXY, program: findDebian('haproxy') },
  { kind: CADDY, program: findDebian('caddy') },
])('behind $kind.name', ({ kind, program }) => {
  describeWith('with its settings as they are', { [kind.name]: program }, (found) => {
    it('a claim waits for as long as it may', async () => {
      const used = found[kind.name];
      if (used === undefined) throw new Error('it was found');
      const behind = await Behind.start(kind, used, SETTINGS_S);
      try {
        const startedAt = performance.now();
        expect(await behind.claim('none', LONGEST_MS)).toMatchObject({ status: 200, body: { jobs: [] } });
        // It may end with a poll of its coordinator, a second early.
        expect(performance.now() - startedAt).toBeGreaterThan(LONGEST_MS - 3000);
      } finally {
        await behind.stop();
      }
    });
  });
});
