import { once } from 'node:events';
import { createConnection, createServer, type Server } from 'node:net';
import { type ParsedMail, simpleParser } from 'mailparser';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

/** A mail server that keeps what it takes, and says what a test wants it to say. */
export class MailServer {
  readonly mails: ParsedMail[] = [];
  /** What it answers to a recipient, by address; others are taken. */
  readonly answers = new Map<string, { code: number; text: string }>();
  /** The same for the message itself, once. */
  messageAnswer: { code: number; text: string } | null = null;
  /** A message is answered when this has resolved. */
  mayAnswer: Promise<void> = Promise.resolve();
  /** How many messages came, answered or not. */
  received = 0;
  private readonly server: SMTPServer;
  private readonly proxies: Server[] = [];

  constructor(options: SMTPServerOptions = {}) {
    this.server = new SMTPServer({
      ...{ authOptional: true, disabledCommands: ['STARTTLS'], disableReverseLookup: true, logger: false },
      onAuth: (auth, _session, done) =>
        auth.password === 'right' ? done(null, { user: auth.username }) : done(new Error('Invalid login')),
      onRcptTo: ({ address }, _session, done) => {
        const answer = this.answers.get(address);
        done(answer === undefined ? null : Object.assign(new Error(answer.text), { responseCode: answer.code }));
      },
      onData: (stream, _session, done) => {
        simpleParser(stream).then(async (mail) => {
          this.received += 1;
          await this.mayAnswer;
          const answer = this.messageAnswer;
          this.messageAnswer = null;
          if (answer !== null) return done(Object.assign(new Error(answer.text), { responseCode: answer.code }));
          this.mails.push(mail);
          done(null, 'queued');
        }, done);
      },
      ...options,
    });
    this.server.on('error', () => undefined);
  }

  async listen(): Promise<string> {
    const listener = this.server.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return `smtp://127.0.0.1:${(listener.address() as { port: number }).port}`;
  }

  /** A way to it on which the answer to the message is lost: the server has it, and the sender does not know. */
  async behindLossyProxy(): Promise<string> {
    const { port } = this.server.server.address() as { port: number };
    const proxy = createServer((near) => {
      const far = createConnection(port, '127.0.0.1');
      near.pipe(far);
      far.on('data', (chunk: Buffer) => {
        if (/queued/.test(chunk.toString())) near.destroy();
        else near.write(chunk);
      });
      for (const socket of [near, far]) socket.on('error', () => undefined);
      near.on('close', () => far.destroy());
    });
    this.proxies.push(proxy);
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    return `smtp://127.0.0.1:${(proxy.address() as { port: number }).port}`;
  }

  async close(): Promise<void> {
    for (const proxy of this.proxies) proxy.close();
    await new Promise<void>((resolve) => this.server.close(resolve));
  }
}
