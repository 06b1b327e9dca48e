import {
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message as SqsMessage,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';

/** A message in hand: until it is deleted, SQS gives it to others when its visibility timeout is over. */
export interface Message {
  id: string;
  receipt: string;
  body: string;
  /** Its attributes that are text or numbers. */
  attributes: Record<string, string>;
  /** All of them, as they came. */
  rawAttributes: Record<string, MessageAttributeValue>;
  /** Its group, if the queue is FIFO. */
  group: string | undefined;
  /** When it was sent, in ISO-8601. */
  sentAt: string | undefined;
}

export interface Outgoing {
  body: string;
  attributes: Record<string, MessageAttributeValue>;
  /** For FIFO queues. */
  group: string;
  /** For FIFO queues: messages with the same id within five minutes are one. */
  deduplicationId: string;
}

export interface Depth {
  visible: number;
  inFlight: number;
  delayed: number;
}

/** SQS's own limits. */
const MOST_AT_ONCE = 10;
const LONGEST_POLL_MS = 20_000;
const CONNECT_MS = 5000;
const CALL_MS = 15_000;

/** One queue of SQS. */
export class Queue {
  readonly isFifo: boolean;

  constructor(
    private readonly client: SQSClient,
    readonly url: string,
  ) {
    this.isFifo = url.endsWith('.fifo');
  }

  get name(): string {
    return new URL(this.url).pathname.split('/').at(-1) ?? '';
  }

  /** Waits for up to `most` messages (at most 10), for at most `waitMs` (at most 20 s). */
  async receive(most: number, waitMs: number, visibilityMs: number): Promise<Message[]> {
    const { Messages = [] } = await this.client.send(
      new ReceiveMessageCommand({
        QueueUrl: this.url,
        MaxNumberOfMessages: Math.min(most, MOST_AT_ONCE),
        WaitTimeSeconds: Math.round(Math.min(waitMs, LONGEST_POLL_MS) / 1000),
        VisibilityTimeout: Math.ceil(visibilityMs / 1000),
        MessageAttributeNames: ['All'],
        MessageSystemAttributeNames: ['MessageGroupId', 'SentTimestamp'],
      }),
    );
    return Messages.map((one) => messageOf(one, this.isFifo));
  }

  async delete({ receipt }: Message): Promise<void> {
    await this.client.send(new DeleteMessageCommand({ QueueUrl: this.url, ReceiptHandle: receipt }));
  }

  /** Lets others have the message after this time. */
  async giveBack({ receipt }: Message, afterMs = 0): Promise<void> {
    const timeout = Math.ceil(afterMs / 1000);
    await this.client.send(
      new ChangeMessageVisibilityCommand({ QueueUrl: this.url, ReceiptHandle: receipt, VisibilityTimeout: timeout }),
    );
  }

  /** Keeps messages from others for longer. Returns those that are no longer held. */
  async extend(messages: readonly Message[], visibilityMs: number): Promise<Message[]> {
    const lost: Message[] = [];
    for (let start = 0; start < messages.length; start += MOST_AT_ONCE) {
      const batch = messages.slice(start, start + MOST_AT_ONCE);
      const { Failed = [] } = await this.client.send(
        new ChangeMessageVisibilityBatchCommand({
          QueueUrl: this.url,
          Entries: batch.map(({ receipt }, index) => ({
            ...{ Id: String(index), ReceiptHandle: receipt, VisibilityTimeout: Math.ceil(visibilityMs / 1000) },
          })),
        }),
      );
      for (const { Id, SenderFault } of Failed) {
        const message = batch[Number(Id)];
        if (SenderFault === true && message !== undefined) lost.push(message);
      }
    }
    return lost;
  }

  /** Resolves when SQS has acknowledged the message. */
  async send({ body, attributes, group, deduplicationId }: Outgoing): Promise<void> {
    const fifo = { MessageGroupId: group.slice(0, 128), MessageDeduplicationId: deduplicationId.slice(0, 128) };
    await this.client.send(
      new SendMessageCommand({
        ...{ QueueUrl: this.url, MessageBody: body, MessageAttributes: attributes },
        ...(this.isFifo && fifo),
      }),
    );
  }

  async depth(): Promise<Depth> {
    const { Attributes = {} } = await this.client.send(
      new GetQueueAttributesCommand({
        QueueUrl: this.url,
        AttributeNames: [
          ...(['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] as const),
          'ApproximateNumberOfMessagesDelayed',
        ],
      }),
    );
    return {
      visible: Number(Attributes['ApproximateNumberOfMessages'] ?? 0),
      inFlight: Number(Attributes['ApproximateNumberOfMessagesNotVisible'] ?? 0),
      delayed: Number(Attributes['ApproximateNumberOfMessagesDelayed'] ?? 0),
    };
  }
}

/** A client for the queue's host and region. Credentials are found by the AWS SDK. */
export function connect(queueUrl: string): SQSClient {
  const { origin, hostname } = new URL(queueUrl);
  const region = /^(?:sqs\.)?([a-z]+(?:-[a-z]+)+-\d+)\.(?:sqs\.|queue\.)?(?:amazonaws|api\.aws)/.exec(hostname)?.[1];
  return new SQSClient({
    // Compatible servers have one region.
    ...(region !== undefined ? { region } : !hostname.includes('amazonaws') && { region: 'us-east-1' }),
    endpoint: origin,
    // Without limits, an answer that is lost on the way would be waited for without end.
    requestHandler: {
      ...{ connectionTimeout: CONNECT_MS, requestTimeout: LONGEST_POLL_MS + CALL_MS, throwOnRequestTimeout: true },
    },
  });
}

/** SQS counts the bytes of the body and of names, types and values of the attributes. */
export function bytesOf(body: string, attributes: Record<string, MessageAttributeValue>): number {
  const ofAttributes = Object.entries(attributes).reduce((sum, [name, { DataType = '', StringValue, BinaryValue }]) => {
    const value = StringValue === undefined ? (BinaryValue?.length ?? 0) : Buffer.byteLength(StringValue);
    return sum + Buffer.byteLength(name) + Buffer.byteLength(DataType) + value;
  }, 0);
  return Buffer.byteLength(body) + ofAttributes;
}

export function textAttribute(value: string): MessageAttributeValue {
  return { DataType: 'String', StringValue: value };
}

function messageOf(message: SqsMessage, isFifo: boolean): Message {
  const { MessageId = '', ReceiptHandle = '', Body = '', MessageAttributes = {}, Attributes = {} } = message;
  const texts = Object.entries(MessageAttributes).flatMap(([name, { StringValue }]) =>
    StringValue === undefined ? [] : [[name, StringValue] as const],
  );
  const sentAt = Attributes.SentTimestamp;
  return {
    ...{ id: MessageId, receipt: ReceiptHandle, body: Body },
    ...{ attributes: Object.fromEntries(texts), rawAttributes: MessageAttributes },
    // A standard queue's groups share it fairly, and stand in no order.
    group: isFifo ? Attributes.MessageGroupId : undefined,
    sentAt: sentAt === undefined ? undefined : new Date(Number(sentAt)).toISOString(),
  };
}
