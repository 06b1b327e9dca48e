/** Helpers of Handlebars, for values as a locale writes them; the template's data name it as `locale`. */
export const templateHelpers = { date, number, currency };

interface Options {
  data: { root: { locale: string } };
  hash: Record<string, unknown>;
}

/** `{{date at}}`, `{{date at timeZone="Europe/Vienna" timeStyle="short"}}`: a date in the reader's locale. */
function date(value: unknown, { data, hash }: Options): string {
  const at = new Date(String(value));
  if (Number.isNaN(at.getTime())) throw new Error(`${JSON.stringify(value)} is not a date`);
  const format = { dateStyle: 'long', timeZone: 'UTC', ...hash } as Intl.DateTimeFormatOptions;
  return new Intl.DateTimeFormat(data.root.locale, format).format(at);
}

function number(value: unknown, { data, hash }: Options): string {
  return new Intl.NumberFormat(data.root.locale, hash).format(Number(value));
}

/** `{{currency total "EUR"}}`. */
function currency(value: unknown, unit: unknown, { data }: Options): string {
  const format = { style: 'currency', currency: String(unit) } as const;
  return new Intl.NumberFormat(data.root.locale, format).format(Number(value));
}
