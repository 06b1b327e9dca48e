import { z } from 'zod';
import { setting } from '@baton/runner-kit';

const mailbox = z
  .string()
  .regex(
    /^([^<>\r\n]*<[^<>@\s]+@[^<>@\s]+>|[^<>@\s]+@[^<>@\s]+)$/,
    'must be an address such as Baton <baton@example.com>',
  );

export const mailSettings = {
  MAIL_SMTP_URL: z
    .string({ error: 'must be set to the mail server, such as smtp://user:password@mail.example.com:587' })
    .pipe(setting.url('smtp://user:password@mail.example.com:587', /^smtps?$/)),
  MAIL_SMTP_TLS: setting.oneOf(['required', 'optional', 'off']).default('required'),
  MAIL_SMTP_CONNECTIONS: setting.wholeNumber(1, 100).default(4),
  MAIL_FROM: z.string({ error: 'must be set to the sender, such as Baton <baton@example.com>' }).pipe(mailbox),
  MAIL_TEMPLATES: setting.folder().optional(),
  MAIL_LOCALE: z.string().default('en'),
  MAIL_USERS: z
    .string()
    .regex(
      /^(postgres(ql)?:\/\/|file:|https?:\/\/)/,
      'must be the URL of a PostgreSQL database, a file:, or an http: address with {userId}',
    )
    .optional(),
  MAIL_USERS_QUERY: z.string().default('SELECT email, name, locale FROM users WHERE id::text = $1'),
  MAIL_USERS_TOKEN: setting.secret().optional(),
  MAIL_MAX_ATTACHMENT_BYTES: setting.wholeNumber(0, 104_857_600).default(10_485_760),
  MAIL_PACE_MS: setting.wholeNumber(0, 600_000).default(0),
  MAIL_NOTIFY_PORT: setting.wholeNumber(0, 65_535).optional(),
  MAIL_NOTIFY_HOST: z.string().default('127.0.0.1'),
  MAIL_NOTIFY_RULES: setting.file().optional(),
  MAIL_NOTIFY_SECRET: setting.secret().optional(),
  MAIL_NOTIFY_KEY: setting.secret().optional(),
};
