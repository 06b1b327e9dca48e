import { defineJob } from '@baton/runner-sdk';
import { z } from 'zod';

const url = z.string().min(1);
const mm = z.number().min(0).max(500);
const paper = z.enum(['A3', 'A4', 'A5', 'Letter', 'Legal']);

/** Makes a PDF of an HTML template and data. */
export const documentGeneration = defineJob({
  type: 'document-generation',
  arguments: z
    .strictObject({
      /** A URL of the storage: HTML with Handlebars. Files that it names stand beside it. */
      template: url.optional(),
      /** The template itself, instead of its URL. */
      html: z.string().min(1).max(500_000).optional(),
      data: z.record(z.string(), z.unknown()).default({}),
      /** A URL of the storage. */
      to: url,
      /** Of dates, numbers and currencies. */
      locale: z
        .string()
        .regex(/^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/, 'must be a locale such as de-AT')
        .default('en'),
      /** An `@page` of the template counts more. */
      page: z
        .strictObject({
          size: z.union([paper, z.strictObject({ widthMm: mm.min(10), heightMm: mm.min(10) })]).default('A4'),
          landscape: z.boolean().default(false),
          marginMm: z.union([mm, z.strictObject({ top: mm, right: mm, bottom: mm, left: mm })]).default(20),
          /** `3 / 12` in the margin of each page. */
          numbers: z.enum(['left', 'center', 'right', 'none']).default('none'),
        })
        .prefault({}),
    })
    .refine(
      ({ template, html }) => (template === undefined) !== (html === undefined),
      'must have either template or html',
    ),
  result: z.object({ to: z.string(), pages: z.int(), bytes: z.int() }),
  timeoutMs: 300_000,
});

export type DocumentArguments = z.output<NonNullable<(typeof documentGeneration)['arguments']>>;
export type DocumentResult = z.output<NonNullable<(typeof documentGeneration)['result']>>;
export type PageLayout = DocumentArguments['page'];
