import { SluiceError } from "../support/errors.ts";

/** Where in a template something failed, and why. */
export interface TemplateFault {
  /** Name among the template's sources. */
  readonly template: string;
  /** From 1; absent where it is not known. */
  readonly line?: number;
  readonly column?: number;
  readonly reason: string;
  readonly cause?: unknown;
}

interface FilterSource {
  getFilter(name: string): (...parameters: readonly unknown[]) => unknown;
}

/**
 * What compiled templates call (see compiler.ts). nunjucks hands an error up through every template in between and
 * rewrites it on the way; the first fault, kept here, is the one that tells where it was.
 */
export class TemplateChecks {
  #fault: TemplateFault | undefined;
  #sought: TemplateFault | undefined;
  #backend: string | undefined;

  /** The first failure since `reset`. */
  get fault(): TemplateFault | undefined {
    return this.#fault;
  }

  /** The place of the newest `include`, `import`, `from` or `extends`. */
  get sought(): TemplateFault | undefined {
    return this.#sought;
  }

  /** The backend whose part failed first. */
  get backend(): string | undefined {
    return this.#backend;
  }

  /** The part of this backend failed. */
  blame(backend: string): void {
    this.#backend ??= backend;
  }

  reset(): void {
    this.#backend = undefined;
    this.#fault = undefined;
    this.#sought = undefined;
  }

  /** Keeps the fault when it is the first, and throws. */
  fail(fault: TemplateFault): never {
    this.#fault ??= fault;
    throw new Error(this.#fault.reason, { cause: this.#fault.cause });
  }

  filter(
    env: FilterSource,
    name: string,
    context: unknown,
    values: readonly unknown[],
    template: string,
    line: number,
    column: number,
  ): unknown {
    let filter: ReturnType<FilterSource["getFilter"]>;
    try {
      filter = env.getFilter(name);
    } catch (cause) {
      return this.fail({ template, line, column, reason: `there is no filter "${name}"`, cause });
    }
    try {
      return filter.apply(context, [...values]);
    } catch (cause) {
      return this.fail({ template, line, column, reason: `${name}: ${messageOf(cause)}`, cause });
    }
  }

  call(
    callee: unknown,
    name: string,
    context: unknown,
    values: readonly unknown[],
    template: string,
    line: number,
    column: number,
  ): unknown {
    if (typeof callee !== "function") {
      return this.fail({ template, line, column, reason: `there is no function or macro "${name}"` });
    }
    try {
      return callee.apply(context, values);
    } catch (cause) {
      return this.fail({ template, line, column, reason: `${name}: ${messageOf(cause)}`, cause });
    }
  }

  output(value: unknown, name: string, template: string, line: number, column: number): string {
    if (value === undefined || value === null) {
      return this.fail({ template, line, column, reason: `${name} has no value` });
    }
    // What macros give back is an object of nunjucks' own that turns into its text; other objects have none.
    const text = String(value);
    if (typeof value === "object" && text.startsWith("[object ")) {
      return this.fail({
        template,
        line,
        column,
        reason: `${name} is an object and has no text; name one of its fields`,
      });
    }
    return text;
  }

  list(value: unknown, name: string, template: string, line: number, column: number): unknown {
    if (value === undefined || value === null) {
      return this.fail({ template, line, column, reason: `${name} has no value to loop over` });
    }
    return value;
  }

  lookFor(template: string, line: number, column: number): void {
    this.#sought = { template, line, column, reason: "" };
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/**
 * The error for what went wrong in a template, naming template, line and column.
 *
 * @param path of the main template
 * @returns ERR_VALUE_UNSAFE where a value could not be carried, else ERR_TEMPLATE_FAILED
 */
export function templateError(path: string, checks: TemplateChecks, thrown: unknown): SluiceError {
  const fault = checks.fault ?? faultOf(path, checks, thrown);
  const { template, line, column, reason } = fault;
  const place = line === undefined ? template : `${template}:${line}${column === undefined ? "" : `:${column}`}`;
  const { backend } = checks;
  const unsafe = fault.cause instanceof SluiceError && fault.cause.code === "ERR_VALUE_UNSAFE";
  return new SluiceError(
    unsafe ? "ERR_VALUE_UNSAFE" : "ERR_TEMPLATE_FAILED",
    `${place}: ${reason} (template ${path})`,
    {
      cause: fault.cause,
      details: {
        path,
        template,
        ...(backend !== undefined && { backend }),
        ...(line !== undefined && { line }),
        ...(column !== undefined && { column }),
        reason,
      },
    },
  );
}

/** What nunjucks itself threw: its message is "(outer)", "(inner) [Line l, Column c]" and the reason, a line each. */
function faultOf(path: string, checks: TemplateChecks, thrown: unknown): TemplateFault {
  const lines = messageOf(thrown).split("\n");
  const reason = (lines.at(-1) ?? "").trim().replace(/^(?:Template render error|Error): /, "");
  const missing = /^template not found: (.*)$/.exec(reason)?.[1];
  if (missing !== undefined && checks.sought !== undefined) {
    return { ...checks.sought, reason: `there is no template "${missing}" beside it` };
  }
  const inner = lines.findLast((line) => line.trim().startsWith("("));
  const template = /^\s*\(([^)]*)\)/.exec(inner ?? "")?.[1] ?? path;
  return { template, reason, cause: thrown };
}
