import { describe as describeApi } from '../../coordinator/http/docs/openapi';
import { ENDPOINTS } from '../../coordinator/http/server';

interface Node {
  [key: string]: unknown;
}

/** Where the document has a property, parameter, header, answer, tag or operation that it does not explain. */
function unexplained(document: object): string[] {
  const found: string[] = [];
  const walk = (value: unknown, path: string[]): void => {
    if (typeof value !== 'object' || value === null) return;
    if (mustExplain(path) && !isExplained(value as Node)) found.push(path.join(' > '));
    for (const [key, child] of Object.entries(value)) if (key !== 'examples') walk(child, [...path, key]);
  };
  walk(document, []);
  return found;
}

/** Names of things stand below these; a property of a shape may itself be called so. */
const HOLDERS = new Set(['properties', 'parameters', 'headers', 'responses', 'tags', 'securitySchemes', 'servers']);

function mustExplain(path: string[]): boolean {
  const holder = path.at(-2) ?? '';
  return HOLDERS.has(holder) && path.at(-3) !== 'properties';
}

function isExplained({ description, $ref }: Node): boolean {
  // What is named stands under its name, where it is explained.
  const isShared = typeof $ref === 'string' && /#\/components\/(headers|responses|parameters)\//.test($ref);
  return isShared || (typeof description === 'string' && /^\S.*\S$/s.test(description));
}

describe('the OpenAPI document explains', () => {
  const document = describeApi(ENDPOINTS);

  test('every property, parameter, header, answer and tag', () => {
    // A schema in runner-sdk/protocol says what a field means: `name.describe('…')`.
    expect(unexplained(document)).toEqual([]);
  });

  test('so that a field without a description is found', () => {
    const text = JSON.stringify(document);
    const without = text.replaceAll(/"description":"After how many failed attempts[^"]*",?/g, '');
    expect(without).not.toBe(text);
    expect(unexplained(JSON.parse(without.replaceAll(',}', '}')) as object).join('\n')).toMatch(/maxAttempts/);
  });
});
