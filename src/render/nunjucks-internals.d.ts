/**
 * The parts of nunjucks 3.2.4 that its own types leave out and that compiler.ts builds on. The version is pinned and the
 * project finished, so they stand still; the unit tests of compiler.ts tell when they do not.
 */
declare module "nunjucks/src/compiler.js" {
  namespace compiler {
    interface TemplateNode {
      /** From 0. */
      readonly lineno: number;
      /** From 0. */
      readonly colno: number;
      readonly typename: string;
      readonly value?: unknown;
      readonly name?: TemplateNode;
      readonly target?: TemplateNode;
      readonly val?: TemplateNode;
      readonly arr?: TemplateNode;
      readonly args?: TemplateNode;
      readonly children?: readonly TemplateNode[];
    }
    class Compiler {
      constructor(templateName: string, throwOnUndefined: boolean);
      /** Name of the JavaScript variable that takes the text being put together. */
      buffer: string;
      compile(node: TemplateNode, frame?: unknown): void;
      compileOutput(node: TemplateNode, frame: unknown): void;
      compileFilter(node: TemplateNode, frame: unknown): void;
      compileFunCall(node: TemplateNode, frame: unknown): void;
      compileFor(node: TemplateNode, frame: unknown): void;
      getCode(): string;
      _compileExpression(node: TemplateNode, frame: unknown): void;
      _compileAggregate(node: TemplateNode, frame: unknown, start: string, end: string): void;
      _compileGetTemplate(node: TemplateNode, frame: unknown, eager: boolean, ignoreMissing: boolean): string;
      _emit(code: string): void;
      _emitLine(code: string): void;
    }
  }
  export = compiler;
}

declare module "nunjucks/src/parser.js" {
  import type { TemplateNode } from "nunjucks/src/compiler.js";

  const parser: {
    parse(source: string, extensions: readonly unknown[], options: object): TemplateNode;
  };
  export = parser;
}

declare module "nunjucks/src/transformer.js" {
  import type { TemplateNode } from "nunjucks/src/compiler.js";

  const transformer: {
    transform(root: TemplateNode, asyncFilters: readonly string[], name: string): TemplateNode;
  };
  export = transformer;
}
