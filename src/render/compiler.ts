import nunjucksCompiler, { type TemplateNode } from "nunjucks/src/compiler.js";
import parser from "nunjucks/src/parser.js";
import transformer from "nunjucks/src/transformer.js";

/** How the text of a template is taken apart; the Environment has to be given the same. */
export const templateOptions = {
  autoescape: false,
  throwOnUndefined: true,
  trimBlocks: true,
  lstripBlocks: true,
} as const;

/**
 * Compiles a template to JavaScript that calls `env.checks` (see `TemplateChecks`) wherever nunjucks' own code would
 * lose the place of a failure or pass over something missing: filters, calls, output, the list of a `for`.
 *
 * @param name of the template among its sources, for messages
 * @returns the functions nunjucks runs: `root` and one per block
 * @throws nunjucks' TemplateError, with `lineno` and `colno` from 1, where the syntax is wrong
 */
export function compileTemplate(name: string, text: string): object {
  const compiler = new CheckedCompiler(name, true);
  compiler.compile(transformer.transform(parser.parse(text, [], templateOptions), [], name));
  // A template is a program its owner wrote: this is how nunjucks itself runs it.
  return new Function(compiler.getCode())() as object;
}

class CheckedCompiler extends nunjucksCompiler.Compiler {
  readonly #template: string;
  #list: TemplateNode | undefined;

  constructor(templateName: string, throwOnUndefined: boolean) {
    super(templateName, throwOnUndefined);
    this.#template = templateName;
  }

  override compileFilter(node: TemplateNode, frame: unknown): void {
    if (node.name === undefined || node.args === undefined) {
      super.compileFilter(node, frame);
      return;
    }
    this._emit(`env.checks.filter(env, ${JSON.stringify(node.name.value)}, context, `);
    this._compileAggregate(node.args, frame, "[", "]");
    this._emit(`, ${this.#place(node)})`);
  }

  override compileFunCall(node: TemplateNode, frame: unknown): void {
    if (node.name === undefined || node.args === undefined) {
      super.compileFunCall(node, frame);
      return;
    }
    this._emit("env.checks.call(");
    this._compileExpression(node.name, frame);
    this._emit(`, ${JSON.stringify(wordsOf(node.name))}, context, `);
    this._compileAggregate(node.args, frame, "[", "]");
    this._emit(`, ${this.#place(node)})`);
  }

  override compileOutput(node: TemplateNode, frame: unknown): void {
    for (const child of node.children ?? []) {
      if (child.typename === "TemplateData") {
        if (child.value !== "") this._emitLine(`${this.buffer} += ${literal(String(child.value))};`);
        continue;
      }
      this._emit(`${this.buffer} += env.checks.output(`);
      this.compile(child, frame);
      this._emitLine(`, ${JSON.stringify(wordsOf(child))}, ${this.#place(child)});`);
    }
  }

  override compileFor(node: TemplateNode, frame: unknown): void {
    this.#list = node.arr;
    super.compileFor(node, frame);
  }

  override _compileExpression(node: TemplateNode, frame: unknown): void {
    if (node !== this.#list) {
      super._compileExpression(node, frame);
      return;
    }
    this.#list = undefined;
    this._emit("env.checks.list(");
    super._compileExpression(node, frame);
    this._emit(`, ${JSON.stringify(wordsOf(node))}, ${this.#place(node)})`);
  }

  override _compileGetTemplate(node: TemplateNode, frame: unknown, eager: boolean, ignoreMissing: boolean): string {
    this._emitLine(`env.checks.lookFor(${this.#place(node)});`);
    return super._compileGetTemplate(node, frame, eager, ignoreMissing);
  }

  /** Template, line and column as arguments, the latter two from 1. */
  #place(whole: TemplateNode): string {
    const node = startOf(whole);
    return `${literal(this.#template)}, ${node.lineno + 1}, ${node.colno + 1}`;
  }
}

/** The leftmost part of a call or a lookup: nunjucks takes the parenthesis or the dot for its place. */
function startOf(node: TemplateNode): TemplateNode {
  if (node.typename === "LookupVal" && node.target !== undefined) return startOf(node.target);
  if (node.typename === "FunCall" && node.name !== undefined) return startOf(node.name);
  return node;
}

/** JSON but for the two characters that end a line in JavaScript. */
function literal(text: string): string {
  return JSON.stringify(text)
    .replace(/\u2028/g, "\\u2028")
    .replace(/\u2029/g, "\\u2029");
}

/** An expression as a person wrote it, near enough to find it again. */
function wordsOf(node: TemplateNode): string {
  switch (node.typename) {
    case "Symbol":
      return String(node.value);
    case "Literal":
      return JSON.stringify(node.value);
    case "LookupVal": {
      const target = node.target === undefined ? "" : wordsOf(node.target);
      const { val } = node;
      if (val?.typename === "Literal" && typeof val.value === "string") return `${target}.${val.value}`;
      return `${target}[${val === undefined ? "" : wordsOf(val)}]`;
    }
    case "FunCall":
      return `${node.name === undefined ? "" : wordsOf(node.name)}()`;
    case "Filter": {
      const input = node.args?.children?.[0];
      return `${input === undefined ? "" : wordsOf(input)} | ${String(node.name?.value)}`;
    }
    default:
      return "the expression";
  }
}
