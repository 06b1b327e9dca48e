#!/usr/bin/env node
import { LambdaClient } from '@aws-sdk/client-lambda';
import { SettingsError, startRunner } from '@baton/runner-kit';
import { defineJob } from '@baton/runner-sdk';
import { z } from 'zod';
import { Callbacks } from './callbacks';
import { readFunctions } from './functions';
import { Invoker } from './invoke';
import { lambdaSettings, type LambdaSettings } from './settings';

const CONNECT_MS = 5000;

startRunner({
  name: 'lambda',
  settings: lambdaSettings,
  prefix: 'LAMBDA_',
  concurrency: 50,
  prepare: async (kit, settings) => {
    const functions = readFunctions(settings.LAMBDA_FUNCTIONS);
    const callbacks = await listen(settings);
    if (callbacks === null && [...functions.values()].some(({ mode }) => mode === 'callback'))
      throw new SettingsError('LAMBDA_FUNCTIONS has the mode callback, which needs LAMBDA_CALLBACK_PORT');
    const client = new LambdaClient({
      // Its own retries would invoke a function again whose answer was lost, and wait where the job can rest.
      maxAttempts: 1,
      requestHandler: {
        connectionTimeout: CONNECT_MS,
        httpsAgent: { maxSockets: 500 },
        httpAgent: { maxSockets: 500 },
      },
    });
    const invoker = new Invoker({ client, callbacks, throttleDelayMs: settings.LAMBDA_THROTTLE_DELAY_MS });
    for (const [type, fn] of functions)
      kit.handle(defineJob({ type, arguments: z.json(), result: z.unknown() }), (args, job) =>
        invoker.run(fn, args, job),
      );
  },
});

async function listen(settings: LambdaSettings): Promise<Callbacks | null> {
  const { LAMBDA_CALLBACK_PORT: port, LAMBDA_CALLBACK_HOST: host, LAMBDA_CALLBACK_URL: url } = settings;
  if (port === undefined) return null;
  const callbacks = new Callbacks(url);
  try {
    await callbacks.listen(port, host);
    return callbacks;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SettingsError(`LAMBDA_CALLBACK_PORT cannot be listened on: ${reason}`);
  }
}
