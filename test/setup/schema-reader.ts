import { readFileSync } from 'node:fs';

/** Tables, as `schema.prisma` declares them and as the database has them; everything sorted by name. */
export interface Schema {
  /** Name to values, in their order. */
  enums: Record<string, string[]>;
  tables: Record<string, Table>;
}

export interface Table {
  /** Name to type, nullability and default, such as `uuid not null`. */
  columns: Record<string, string>;
  primaryKey: string[];
  /** Whole-table unique indexes without expressions, as joined column names. */
  unique: string[];
  /** Such as `job_id > jobs.id on delete cascade`. */
  foreignKeys: string[];
}

interface Block {
  kind: string;
  name: string;
  lines: string[];
}

interface Field {
  name: string;
  column: string;
  type: string;
  isList: boolean;
  isOptional: boolean;
  attributes: string;
}

const SCALARS: Record<string, string> = {
  String: 'text',
  Int: 'integer',
  BigInt: 'bigint',
  Float: 'double precision',
  Boolean: 'boolean',
  DateTime: 'timestamp(3) without time zone',
  Json: 'jsonb',
};
const NATIVE: Record<string, string> = {
  Uuid: 'uuid',
  SmallInt: 'smallint',
  Json: 'json',
  JsonB: 'jsonb',
  'Timestamptz(6)': 'timestamp(6) with time zone',
};
const DELETE_RULES: Record<string, string> = {
  Cascade: 'cascade',
  SetNull: 'set null',
  Restrict: 'restrict',
  NoAction: 'no action',
};

/** Reads the part of Prisma's language that the schema uses; throws at a type it does not know. */
export function readPrismaSchema(path: string): Schema {
  const blocks = readBlocks(readFileSync(path, 'utf8'));
  const tableNames = new Map(blocks.map((block) => [block.name, mappedName(block)]));
  const enums = blocks.filter(({ kind }) => kind === 'enum');
  const models = blocks.filter(({ kind }) => kind === 'model');
  const enumNames = new Set(enums.map(({ name }) => name));
  return {
    enums: Object.fromEntries(
      enums.map((block) => [mappedName(block), block.lines.filter((line) => !line.startsWith('@@'))]),
    ),
    tables: Object.fromEntries(
      models.map((block) => [mappedName(block), readTable(block, models, tableNames, enumNames)]),
    ),
  };
}

function readTable(block: Block, models: Block[], tableNames: Map<string, string>, enumNames: Set<string>): Table {
  const fields = readFields(block);
  const columns = fields.filter(({ type }) => type in SCALARS || enumNames.has(type));
  const columnOf = (name: string): string => find(fields, name).column;
  const columnsOf = (list = ''): string[] => list.split(',').map((name) => columnOf(name.trim()));
  const lists = (pattern: RegExp): string[][] =>
    block.lines.flatMap((line) => (pattern.test(line) ? [columnsOf(bracket(line))] : []));
  const marked = (mark: RegExp): string[][] =>
    columns.filter(({ attributes }) => mark.test(attributes)).map(({ column }) => [column]);
  return {
    columns: Object.fromEntries(columns.map((field) => [field.column, describeColumn(field, tableNames)])),
    primaryKey: [...lists(/^@@id/), ...marked(/@id\b/)][0] ?? [],
    unique: [...lists(/^@@unique/), ...marked(/@unique\b/)].map((names) => names.join()).sort(),
    foreignKeys: fields
      .filter(({ attributes }) => attributes.includes('fields:'))
      .map(({ type, attributes }) => {
        const target = readFields(find(models, type));
        const remote = bracket(attributes.slice(attributes.indexOf('references:')))
          .split(',')
          .map((name) => find(target, name.trim()).column);
        const rule = DELETE_RULES[/onDelete: (\w+)/.exec(attributes)?.[1] ?? 'NoAction'];
        return `${columnsOf(bracket(attributes)).join()} > ${tableNames.get(type)}.${remote.join()} on delete ${rule}`;
      })
      .sort(),
  };
}

/** Prisma leaves the columns of lists nullable. */
function describeColumn(field: Field, tableNames: Map<string, string>): string {
  const native = /@db\.(\w+(\(\d+\))?)/.exec(field.attributes)?.[1];
  const type = native === undefined ? (SCALARS[field.type] ?? tableNames.get(field.type)) : NATIVE[native];
  if (type === undefined)
    throw new Error(`Teach this reader the type of ${field.name}: ${field.type} ${field.attributes}`);
  const fallback = /@default\(([^()]*(?:\(\))?)\)/.exec(field.attributes)?.[1];
  const shown = fallback === undefined ? '' : ` default ${fallback === 'autoincrement()' ? 'sequence' : fallback}`;
  return `${type}${field.isList ? '[]' : ''}${field.isOptional || field.isList ? '' : ' not null'}${shown}`;
}

function readBlocks(text: string): Block[] {
  const found = text.matchAll(/^(model|enum) (\w+) \{\n([^}]*)\}/gm);
  return [...found].map(([, kind = '', name = '', body = '']) => {
    const lines = body.split('\n').map((line) => line.replace(/\/\/.*/, '').trim());
    return { kind, name, lines: lines.filter((line) => line !== '') };
  });
}

function readFields(block: Block): Field[] {
  return block.lines.flatMap((line) => {
    const [, name, type, mark, attributes = ''] = /^(\w+)\s+(\w+)(\[\]|\?)?\s*(.*)$/.exec(line) ?? [];
    if (name === undefined || type === undefined) return [];
    const column = /(?:^|\s)@map\("(\w+)"\)/.exec(attributes)?.[1] ?? name;
    return [{ name, column, type, isList: mark === '[]', isOptional: mark === '?', attributes }];
  });
}

function mappedName(block: Block): string {
  return (
    block.lines.map((line) => /^@@map\("(\w+)"\)/.exec(line)?.[1]).find((name) => name !== undefined) ?? block.name
  );
}

function bracket(text: string): string {
  return /\[([^\]]*)\]/.exec(text)?.[1] ?? '';
}

function find<T extends { name: string }>(list: T[], name: string): T {
  const found = list.find((item) => item.name === name);
  if (found === undefined) throw new Error(`schema.prisma refers to ${name}, which is not there.`);
  return found;
}
