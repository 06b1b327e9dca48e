import { type ApiDocument, nameOf, type Operation, type Schema } from './document';
import { exampleAnswer, exampleOf } from './example';

/** Gives each shape and field, each parameter, body and answer of the document an example. */
export function addExamples(document: ApiDocument): void {
  const { schemas } = document.components;
  for (const [name, schema] of Object.entries(schemas)) {
    if (schema.properties === undefined) continue;
    const example = exampleOf({ $ref: `#/components/schemas/${name}` }, document);
    schema.examples = [example];
    illustrate(schema, example, document);
  }
  for (const methods of Object.values(document.paths)) {
    for (const operation of Object.values(methods)) illustrateOperation(operation, document);
  }
}

/** Fields without a value in the example get their own examples. References have theirs where they are defined. */
function illustrate({ properties = {} }: Schema, example: unknown, document: ApiDocument): void {
  for (const [name, property] of Object.entries(properties)) {
    const told = (example as Record<string, unknown> | null)?.[name] ?? exampleOf(property, document, false, name);
    if (property.properties !== undefined) illustrate(property, told, document);
    else if (nameOf(property) === null && told !== null && told !== undefined) property.examples = [told];
  }
}

function illustrateOperation(operation: Operation, document: ApiDocument): void {
  for (const parameter of operation.parameters)
    parameter.example ??= exampleOf(parameter.schema, document, true, parameter.name);
  for (const media of Object.values(operation.requestBody?.content ?? {}))
    media.example = exampleOf(media.schema, document, true);
  for (const [status, { content = {} }] of Object.entries(operation.responses)) {
    for (const [type, media] of Object.entries(content)) {
      if (type === 'application/json')
        media.example = exampleAnswer(operation.operationId, status, media.schema, document);
    }
  }
}
