import { Transport, type ApiReply, type ApiRequest } from '../../runner-sdk/transport/transport';

/** No call of a test is slow, in milliseconds: for tests that hold answers back. */
export const PATIENT = 1_000_000;

/** A transport whose calls are answered when the test says so. */
export class HeldTransport extends Transport {
  readonly held: {
    path: string;
    body: { completions?: { jobId: string }[]; jobs?: { arguments: number }[]; arguments?: number };
    answer: (body: unknown) => void;
    fail: (error: Error) => void;
  }[] = [];

  constructor() {
    super({ urls: ['http://127.0.0.1:1'], apiKey: 'none' });
  }

  override call<T>(request: ApiRequest): Promise<ApiReply<T>> {
    return new Promise((resolve, reject) => {
      const body = JSON.parse(request.json ?? '{}') as HeldTransport['held'][number]['body'];
      this.held.push({
        path: request.path,
        body,
        answer: (answer) => resolve({ status: 200, body: answer as T, failures: 0 }),
        fail: reject,
      });
    });
  }
}
