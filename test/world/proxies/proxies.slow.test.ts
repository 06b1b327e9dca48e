import { randomUUID } from 'node:crypto';
import { request } from 'undici';
import WebSocket from 'ws';
import { findDebian } from '../../../scripts/debian';
import { ADMIN_KEY } from '../../e2e/support/processes';
import { eventually } from '../../support/eventually';
import { describeWith } from '../support/needs';
import { Behind, callsOf } from './behind';
import { AUTHORITY, CADDY, HAPROXY, NGINX } from './proxy';

/** Of the proxies, in place of the 60 s of their settings; the slow test has those. */
const WAIT_S = 5;
const LARGE = { jobs: 50, bytes: 200_000 };

describe.each([
  { kind: NGINX, program: findDebian('nginx') },
  { kind: HAPROXY, program: findDebian('haproxy') },
  { kind: CADDY, program: findDebian('caddy') },
])('behind $kind.name', ({ kind, program }) => {
  describeWith('with the settings of deploy/proxies', { [kind.name]: program }, (found) => {
    let behind: Behind;
    beforeAll(async () => {
      const used = found[kind.name];
      if (used === undefined) throw new Error('it was found');
      behind = await Behind.start(kind, used, WAIT_S);
    });
    afterAll(() => behind.stop());

    it('a claim waits almost as long as the proxy allows, and one that waits longer is ended', async () => {
      const type = randomUUID();
      const kept = await behind.claim(type, (WAIT_S - 2) * 1000);
      expect(kept).toMatchObject({ status: 200, body: { jobs: [] } });
      // That the settings are what allows it. HAProxy and nginx answer with 504, Caddy with 502 or 504.
      const { status } = await behind.claim(type, (WAIT_S + 5) * 1000);
      expect([502, 504]).toContain(status);
    });

    it('a waiting claim gets a job as soon as it is created', async () => {
      const type = randomUUID();
      const claimed = behind.claim(type, (WAIT_S - 1) * 1000);
      // Created through whichever coordinator; the claim waits at one of them.
      const { id } = await behind.create(type);
      expect((await claimed).body.jobs.map((job) => job.id)).toEqual([id]);
    });

    it('an event stream tells at once, and outlives the timeout because it is never silent for long', async () => {
      const { body, statusCode } = await request(`${behind.proxy.https}/events?type=streamed`, {
        dispatcher: behind.agent,
        headers: { authorization: `Bearer ${ADMIN_KEY}` },
      });
      expect(statusCode).toBe(200);
      let heard = '';
      body.setEncoding('utf8').on('data', (text: string) => (heard += text));
      body.on('error', () => undefined);
      await eventually(() => heard.includes('event: ready'));
      for (let nth = 1; nth <= 3; nth += 1) {
        const { id } = await behind.create('streamed');
        // The answer goes on: what is heard was not held back until its end.
        await eventually(() => heard.includes(id));
      }
      body.destroy();
    });

    it('an event stream comes as a WebSocket too', async () => {
      const socket = new WebSocket(`${behind.proxy.https.replace('https', 'wss')}/events?type=socketed`, {
        ca: AUTHORITY,
        headers: { authorization: `Bearer ${ADMIN_KEY}` },
      });
      const heard: string[] = [];
      socket.on('message', (data: Buffer) => heard.push(data.toString()));
      await eventually(() => heard.some((message) => message.includes('ready')));
      const { id } = await behind.create('socketed');
      await eventually(() => heard.some((message) => message.includes(id)));
      socket.close();
    });

    it('large bodies pass, both ways', async () => {
      const type = randomUUID();
      const jobs = Array.from({ length: LARGE.jobs }, () => ({ type, arguments: { text: 'x'.repeat(LARGE.bytes) } }));
      expect(await behind.call('POST', '/jobs/bulk', { jobs })).toMatchObject({ status: 201 });
      const { body } = await behind.call<{ jobs: unknown[] }>('POST', '/jobs/claim', {
        runnerId: 'r',
        types: [type],
        max: LARGE.jobs,
      });
      expect(JSON.stringify(body.jobs).length).toBeGreaterThan(LARGE.jobs * LARGE.bytes);
    });

    it('plain HTTP is sent to HTTPS, and the coordinator knows the scheme', async () => {
      const { statusCode, headers, body } = await request(`${behind.proxy.http}/healthz`);
      await body.dump();
      expect(statusCode).toBe(308);
      expect(headers['location']).toMatch(/^https:\/\//);
      const session = await behind.call('POST', '/session', { apiKey: ADMIN_KEY });
      expect(String(session.headers['set-cookie'])).toContain('Secure');
    });

    it('a coordinator that is replaced refuses nothing, and one that died is left out and taken back', async () => {
      const replies: number[] = [];
      let isOver = false;
      const caller = async (): Promise<void> => {
        while (!isOver) {
          const { status } = await behind.call('GET', '/stats').catch(() => ({ status: 0 }));
          replies.push(status);
          await behind.create('steady').then(
            () => replies.push(201),
            () => replies.push(0),
          );
        }
      };
      const callers = [caller(), caller()];
      await eventually(() => replies.length > 20);
      const left = behind.nth(0);
      expect(await left.endedAfter('SIGTERM', 30_000)).toEqual({ code: 0, signal: null });
      await behind.restart(0);
      await eventually(async () => (await callsOf(behind.nth(0), '/stats')) > 5, Boolean, 30_000);
      isOver = true;
      await Promise.all(callers);
      expect(replies.filter((status) => status !== 200 && status !== 201)).toEqual([]);

      await behind.nth(1).kill();
      // Calls that were under way with it are lost; those after them are not.
      const isWell = async (): Promise<boolean> => {
        for (let nth = 0; nth < 20; nth += 1)
          if ((await behind.call('GET', '/stats').catch(() => ({ status: 0 }))).status !== 200) return false;
        return true;
      };
      await eventually(isWell, Boolean, 30_000);
      await behind.restart(1);
      const callAndCount = async (): Promise<boolean> =>
        (await isWell()) && (await callsOf(behind.nth(1), '/stats')) > 0;
      await eventually(callAndCount, Boolean, 30_000);
    });
  });
});
