import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { NonRetryableError } from '@baton/runner-sdk';
import { SettingsError, templateHelpers } from '@baton/runner-kit';
import Handlebars from 'handlebars';

/** The files of a template; those of a locale are in a folder with its name. */
const PARTS = ['subject', 'text', 'html'] as const;
type Part = (typeof PARTS)[number];
const OWN = join(__dirname, existsSync(join(__dirname, 'templates')) ? 'templates' : join('..', 'templates'));

export interface Rendered {
  subject: string;
  text: string;
  /** Null for a template without one. */
  html: string | null;
  locale: string;
}

type Compiled = Partial<Record<Part, Handlebars.TemplateDelegate>>;

/** Mail templates, compiled once: the runner's own, overridden by those of a folder. */
export class Templates {
  /** By name, then by locale; `''` for files in the template's own folder. */
  private readonly templates = new Map<string, Map<string, Compiled>>();

  /** @throws {SettingsError} for an invalid template */
  constructor(
    folder: string | undefined,
    private readonly defaultLocale: string,
  ) {
    for (const place of [OWN, ...(folder === undefined ? [] : [folder])]) this.read(place);
  }

  get names(): string[] {
    return [...this.templates.keys()].sort();
  }

  /**
   * @param wanted acceptable locales, the best first
   * @throws {NonRetryableError} `mail_unknown_template`, `mail_missing_data`
   */
  render(name: string, wanted: readonly string[], data: Record<string, unknown>): Rendered {
    const locales = this.templates.get(name);
    if (locales === undefined)
      throw new NonRetryableError(`there is no template ${name}; there are ${this.names.join(', ')}`, {
        code: 'mail_unknown_template',
      });
    const locale = this.choose(locales, wanted);
    const compiled: Compiled = { ...locales.get(''), ...locales.get(locale) };
    const language = locale === '' ? this.defaultLocale : locale;
    const show = (part: Part): string | null => this.show(name, part, compiled[part], { ...data, locale: language });
    const subject = show('subject') ?? '';
    return { subject: oneLine(subject), text: show('text') ?? '', html: show('html'), locale: language };
  }

  private choose(locales: Map<string, Compiled>, wanted: readonly string[]): string {
    const candidates = [...wanted, this.defaultLocale].flatMap(withParents);
    return candidates.find((one) => locales.has(one)) ?? '';
  }

  private show(
    name: string,
    part: Part,
    template: Handlebars.TemplateDelegate | undefined,
    data: Record<string, unknown>,
  ): string | null {
    if (template === undefined) return null;
    try {
      return template(data);
    } catch (error) {
      const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
      throw new NonRetryableError(`the ${part} of the template ${name} cannot be filled: ${reason}`, {
        code: 'mail_missing_data',
      });
    }
  }

  private read(folder: string): void {
    for (const name of foldersIn(folder)) {
      const locales = new Map<string, Compiled>();
      for (const locale of ['', ...foldersIn(join(folder, name))]) {
        const compiled = compileIn(join(folder, name, locale));
        if (Object.keys(compiled).length > 0) locales.set(locale.toLowerCase(), compiled);
      }
      requireWhole(join(folder, name), locales);
      this.templates.set(name, locales);
    }
  }
}

function compileIn(folder: string): Compiled {
  const found = PARTS.flatMap((part) => {
    const file = join(folder, `${part}.hbs`);
    if (!existsSync(file)) return [];
    try {
      return [[part, compile(readFileSync(file, 'utf8').trimEnd(), part === 'html')] as const];
    } catch (error) {
      throw new SettingsError(
        `the template ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  });
  return Object.fromEntries(found);
}

/** Strict: a missing value is an error instead of a gap in a mail. Plain text is not escaped as HTML. */
function compile(text: string, isHtml: boolean): Handlebars.TemplateDelegate {
  const environment = Handlebars.create();
  environment.registerHelper(templateHelpers);
  // Faults in the text are found now, not when the first mail is sent.
  environment.precompile(text, { strict: true, noEscape: !isHtml });
  return environment.compile(text, { strict: true, noEscape: !isHtml });
}

/** Each locale must have a subject and text, of its own or in the template's folder. */
function requireWhole(folder: string, locales: Map<string, Compiled>): void {
  if (locales.size === 0) throw new SettingsError(`the template ${folder} has no subject.hbs and text.hbs`);
  for (const [locale, own] of locales)
    for (const part of ['subject', 'text'] as const)
      if (own[part] === undefined && locales.get('')?.[part] === undefined)
        throw new SettingsError(`the template ${join(folder, locale)} has no ${part}.hbs`);
}

/** `de-at`, `de`. */
function withParents(locale: string): string[] {
  const parts = locale.toLowerCase().split('-');
  return parts.map((_part, index) => parts.slice(0, parts.length - index).join('-'));
}

/** A line break in a subject would start another header. */
function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

function foldersIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => statSync(join(folder, name)).isDirectory());
}
