import type { Labels } from '@baton/runner-sdk/protocol';

type Label = Labels[string];

const COMPARISON = /^\s*(>=|<=|>|<|!=|=)\s*(.*?)\s*$/;

/**
 * Whether a runner's labels meet a job's requirements: every required label exists and is equal as text, or, for a
 * comparison such as ">=40", satisfies it as a number.
 */
export function meets(requires: Labels | null, labels: Labels): boolean {
  if (requires === null) return true;
  return Object.entries(requires).every(([name, wanted]) => {
    const label = Object.hasOwn(labels, name) ? labels[name] : undefined;
    return label !== undefined && meetsOne(wanted, label);
  });
}

function meetsOne(wanted: Label, label: Label): boolean {
  const comparison = typeof wanted === 'string' ? COMPARISON.exec(wanted) : null;
  if (comparison === null) return String(wanted) === String(label);
  const [, operator, operand = ''] = comparison;
  if (operator === '=') return operand === String(label);
  if (operator === '!=') return operand !== String(label);
  return compares(operator, toNumber(label), toNumber(operand));
}

/** Blank text is not a number, although JavaScript converts it to 0. */
function toNumber(label: Label): number {
  return String(label).trim() === '' ? NaN : Number(label);
}

function compares(operator: string | undefined, left: number, right: number): boolean {
  if (Number.isNaN(left) || Number.isNaN(right)) return false;
  switch (operator) {
    case '>=':
      return left >= right;
    case '<=':
      return left <= right;
    case '>':
      return left > right;
    default:
      return left < right;
  }
}
