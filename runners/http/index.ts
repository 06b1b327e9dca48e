#!/usr/bin/env node
import { startRunner } from '@baton/runner-kit';
import { defineJob } from '@baton/runner-sdk';
import { z } from 'zod';
import { httpRequest, httpResult } from './jobs';
import { HttpCaller } from './request';
import { Secrets } from './secrets';
import { httpSettings, isSecret, policyOf, readSecrets, SETTINGS_PREFIX } from './settings';
import { readTemplates, requestOf } from './templates';

startRunner({
  name: 'http',
  settings: httpSettings,
  prefix: SETTINGS_PREFIX,
  isOtherSetting: isSecret,
  concurrency: 20,
  prepare: (kit, settings) => {
    const answers = kit.figures.counter('http_answers_total', 'Answers by their status', ['status']);
    const caller = new HttpCaller({
      policy: policyOf(settings),
      secrets: new Secrets(readSecrets(settings.HTTP_REQUEST_SECRET_HOSTS)),
      storage: kit.storage,
      mostBodyBytes: settings.HTTP_REQUEST_MAX_BODY_BYTES,
      mostBytes: settings.HTTP_REQUEST_MAX_BYTES,
      onAnswer: (status) => answers.inc({ status }),
    });
    kit.handle(httpRequest, (args, job) => caller.call(args, job));
    const templates = settings.HTTP_REQUEST_TYPES === undefined ? [] : readTemplates(settings.HTTP_REQUEST_TYPES);
    for (const template of templates)
      kit.handle(defineJob({ type: template.type, arguments: z.json(), result: httpResult }), (args, job) =>
        caller.call(requestOf(template, args), job),
      );
  },
});
