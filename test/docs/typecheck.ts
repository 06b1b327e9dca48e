import { join } from 'node:path';
import ts from 'typescript';

/**
 * Checks pieces of TypeScript as files in the project's folder would be, against the SDK's sources.
 * @returns the faults, each with the name of its piece and its line
 */
export function typeFaults(root: string, pieces: Map<string, string>): string[] {
  const files = new Map([...pieces].map(([name, code], index) => [join(root, `piece-${index}.mts`), { name, code }]));
  const options = readOptions(root);
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.readFile = (path) => files.get(path)?.code ?? readFile(path);
  host.getSourceFile = (path, languageOrOptions, ...rest) => {
    const piece = files.get(path);
    return piece === undefined
      ? getSourceFile(path, languageOrOptions, ...rest)
      : ts.createSourceFile(path, piece.code, languageOrOptions, true);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const line = file === undefined || start === undefined ? 0 : file.getLineAndCharacterOfPosition(start).line + 1;
    return `${files.get(file?.fileName ?? '')?.name ?? file?.fileName ?? ''}:${line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}

function readOptions(root: string): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.base.json'), (path) => ts.sys.readFile(path)) as {
    config: { compilerOptions: object };
  };
  const paths = {
    '@baton/runner-sdk': ['./runner-sdk/index.ts'],
    '@baton/runner-sdk/testing': ['./runner-sdk/testing.ts'],
    '@baton/runner-sdk/protocol': ['./runner-sdk/protocol/index.ts'],
  };
  const own = { noEmit: true, composite: false, incremental: false, declaration: false, baseUrl: '.', paths };
  return ts.convertCompilerOptionsFromJson({ ...config.compilerOptions, ...own }, root).options;
}
