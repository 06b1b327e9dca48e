/** `TypeFlags.String` of TypeScript: any string, not one of a known set. */
const ANY_STRING = 4;

/**
 * Forbids reading or writing `record[name]` where `name` may be any string and the type of `record` has a string index.
 * Callers name queues, types, users and labels: the name `constructor` finds a member of `Object.prototype`, and
 * `__proto__` changes the prototype. Names of a closed set, numbers, literals and `Object.hasOwn(record, name) ?
 * record[name] : …` are allowed.
 */
export const noObjectAsMap = {
  meta: {
    type: 'problem',
    schema: [],
    messages: { map: 'Look this up in a Map: names such as constructor are there in every object.' },
  },
  create(context) {
    const { getTypeAtLocation } = context.sourceCode.parserServices;
    return {
      MemberExpression({ computed, object, property, parent }) {
        if (!computed || property.type === 'Literal' || isAskedFirst(parent)) return;
        if (isWalked(context.sourceCode, object, property)) return;
        if ((getTypeAtLocation(property).flags & ANY_STRING) === 0) return;
        if (getTypeAtLocation(object).getStringIndexType() === undefined) return;
        context.report({ node: property, messageId: 'map' });
      },
    };
  },
};

/** @param node the parent of the member access */
function isAskedFirst(node) {
  if (node.type === 'LogicalExpression') return isAskedFirst(node.parent);
  return (
    node.type === 'ConditionalExpression' &&
    node.test.type === 'CallExpression' &&
    node.test.callee.type === 'MemberExpression' &&
    node.test.callee.property.name === 'hasOwn'
  );
}

/** Whether the name comes from a walk over the very object. */
function isWalked(sourceCode, object, property) {
  if (property.type !== 'Identifier') return false;
  const [definition] =
    sourceCode.getScope(property).references.find(({ identifier }) => identifier === property)?.resolved?.defs ?? [];
  const loop = definition?.parent?.parent;
  return loop?.type === 'ForInStatement' && sourceCode.getText(loop.right) === sourceCode.getText(object);
}
