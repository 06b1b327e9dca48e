import { type ApiDocument, nameOf, type Parameter, type Schema } from './document';
import { html, Markup, withCode } from './markup';

const DEEPEST = 4;

/** The fields of a body or an answer. */
export function fieldsOf(schema: Schema, document: ApiDocument, depth = 0): Markup {
  const named = nameOf(schema);
  if (named !== null) return depth > 0 ? html`` : html`<p class="is">A ${typeOf(schema)}.</p>`;
  const { properties = {}, required = [] } = schema;
  // When all fields are required, as in most answers, they are not marked.
  const isMixed = required.length < Object.keys(properties).length || required.length === 1;
  const rows = Object.entries(properties).map(([name, property]) =>
    field({ name, isRequired: isMixed && required.includes(name), schema: property }, document, depth),
  );
  if (rows.length > 0) return html`<dl class="fields">${rows}</dl>`;
  const kinds = (schema.anyOf ?? schema.oneOf ?? []).filter(({ type }) => type !== 'null');
  const shown = kinds.filter((kind) => kind.properties !== undefined);
  if (shown.length > 0 && depth < DEEPEST)
    return html`${shown.map(
      (kind, index) =>
        html`<p class="is">${index === 0 ? 'Either' : 'or'}</p>
          ${fieldsOf(kind, document, depth)}`,
    )}`;
  return depth > 0 ? html`` : html`<p class="is">${capital(typeOf(schema))}.</p>`;
}

export function parametersOf(parameters: readonly Parameter[], document: ApiDocument): Markup {
  const rows = parameters.map(({ name, required, schema, description }) => {
    const single = onceOf(schema);
    return field(
      {
        name,
        isRequired: required,
        schema: single ?? schema,
        description: single === null ? description : 'May be repeated.',
      },
      document,
      DEEPEST,
    );
  });
  return html`<dl class="fields">${rows}</dl>`;
}

/** For a parameter that is one value or a list: the value. */
function onceOf({ anyOf = [] }: Schema): Schema | null {
  const [list, single] = anyOf;
  return anyOf.length === 2 && list?.type === 'array' && JSON.stringify(list.items) === JSON.stringify(single)
    ? (single ?? null)
    : null;
}

function field(
  {
    name,
    isRequired,
    schema,
    description = schema.description,
  }: { name: string; isRequired: boolean; schema: Schema; description?: string | undefined },
  document: ApiDocument,
  depth: number,
): Markup {
  const inner = innerOf(schema);
  const nested = inner !== null && depth < DEEPEST ? fieldsOf(inner, document, depth + 1) : html``;
  return html`<div>
    <dt>
      <code>${name}</code>
      <span class="type">${typeOf(schema)}</span>${isRequired && html` <span class="needed">required</span>`}
    </dt>
    <dd>
      ${description !== undefined && html`<p>${withCode(description)}</p>`}${limitsOf(schema)}${
        nested.text !== '' &&
        html`<details>
          <summary>Fields</summary>
          ${nested}
        </details>`
      }
    </dd>
  </div> `;
}

/** The schema of a field, or of its items. */
function innerOf(schema: Schema): Schema | null {
  if (schema.type === 'array') return schema.items === undefined ? null : innerOf(schema.items);
  if (schema.type === 'object' && typeof schema.additionalProperties === 'object')
    return innerOf(schema.additionalProperties);
  if (schema.properties !== undefined) return schema;
  const kinds = (schema.anyOf ?? schema.oneOf ?? []).filter(({ type }) => type !== 'null');
  if (kinds.length === 1) return innerOf(kinds[0] ?? {});
  return kinds.length > 1 ? schema : null;
}

/** As `typeOf` has it, without links: for places that are buttons themselves. */
export function plainTypeOf(schema: Schema): Markup | string {
  const type = typeOf(schema);
  return typeof type === 'string' ? type : new Markup(type.text.replace(/<\/?a\b[^>]*>/g, ''));
}

/** In words: `integer`, `list of text`, `Job or null`. */
export function typeOf(schema: Schema): Markup | string {
  const named = nameOf(schema);
  if (named !== null) return html`<a href="#schema-${named}">${named}</a>`;
  if (schema.const !== undefined) return html`<code>${JSON.stringify(schema.const)}</code>`;
  if (schema.enum !== undefined) return html`${joined(schema.enum.map((one) => html`<code>${String(one)}</code>`))}`;
  const kinds = schema.anyOf ?? schema.oneOf;
  if (kinds !== undefined) return joined(distinct(kinds.map(typeOf)));
  if (schema.type === 'array') return html`list of ${typeOf(schema.items ?? {})}`;
  if (schema.type === 'object')
    return typeof schema.additionalProperties === 'object' && schema.properties === undefined
      ? html`map of ${typeOf(schema.additionalProperties)}`
      : 'object';
  return WORDS.get(schema.format ?? schema.type ?? '') ?? schema.format ?? schema.type ?? 'any JSON';
}

const WORDS = new Map([
  ['date-time', 'time'],
  ['uuid', 'UUID'],
  ['string', 'text'],
  ['boolean', 'true or false'],
]);

function limitsOf(schema: Schema): Markup {
  const kinds = (schema.anyOf ?? schema.oneOf ?? []).filter(({ type }) => type !== 'null');
  const { minimum, maximum, minLength, maxLength, minItems, maxItems, pattern } =
    kinds.length === 1 ? { ...schema, ...kinds[0] } : schema;
  const limits = [
    span(minimum, maximum, ''),
    span(minLength, maxLength, ' characters'),
    span(minItems, maxItems, ' items'),
    pattern === undefined ? null : html`as <code>${pattern}</code>`,
    schema.default === undefined ? null : html`default <code>${JSON.stringify(schema.default)}</code>`,
  ].filter((limit) => limit !== null);
  return limits.length === 0
    ? html``
    : html`<p class="limits">${limits.map((limit, index) => html`${index > 0 && ' · '}${limit}`)}</p>`;
}

function span(least: number | undefined, most: number | undefined, unit: string): string | null {
  const number = (value: number): string => value.toLocaleString('en');
  if (least !== undefined && most !== undefined) return `${number(least)} to ${number(most)}${unit}`;
  if (most !== undefined) return `at most ${number(most)}${unit}`;
  return least === undefined || (unit !== '' && least === 0) ? null : `at least ${number(least)}${unit}`;
}

function joined(parts: readonly (Markup | string)[]): Markup {
  return html`${parts.map((part, index) => html`${index > 0 && (index === parts.length - 1 ? ' or ' : ', ')}${part}`)}`;
}

function distinct(types: readonly (Markup | string)[]): (Markup | string)[] {
  return [...new Map(types.map((type) => [typeof type === 'string' ? type : type.text, type])).values()];
}

function capital(type: Markup | string): Markup | string {
  return typeof type === 'string' ? type.slice(0, 1).toUpperCase() + type.slice(1) : type;
}
