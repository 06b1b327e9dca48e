/** `TypeFlags.String` of TypeScript: any text, not one of some that are known. */
const ANY_STRING = 4;

/**
 * Forbids to look a name that is only known at run time up in an object, or to set it there: `record[name]`, where `name`
 * may be any text and the type of `record` has a string index. Callers name queues, types, users and labels; one that is
 * called `constructor` finds a member of `Object.prototype`, and `__proto__` changes the prototype. Names of a closed set,
 * numbers, literals, `Object.hasOwn(record, name) ? record[name] : …` and `for (const name in record) … record[name]` are let
 * through.
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

/** @param node what stands around the look-up */
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
