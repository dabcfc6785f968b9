import nunjucks from "nunjucks";
import type { TemplateSource } from "../reconciler/ports.ts";
import { SluiceError } from "../support/errors.ts";
import { TemplateChecks, templateError } from "./checks.ts";
import { compileTemplate, templateOptions } from "./compiler.ts";
import { addAsset, addMap, type FilePaths, noFiles, type RenderedFiles } from "./files.ts";
import { duration, format, host, quote, token, words } from "./filters.ts";
import { grpcHealthCheck } from "./grpc-health.ts";
import { authority, haproxyAtLeast, hasAsset, leftOut } from "./template-functions.ts";
import { mainTemplate } from "./template-source.ts";
import type { BackendView, Surroundings, View } from "./view-schema.ts";

/** The partial that `backend()` renders. */
const backendPartial = "backend.njk";

interface Part extends RenderedFiles {
  readonly text: string;
}

/** A template ready to run: parsed once, and with each backend's text kept for as long as nothing in it changed. */
export class CompiledTemplate {
  readonly #template: TemplateSource;
  readonly #paths: FilePaths;
  readonly #checks = new TemplateChecks();
  readonly #environment: nunjucks.Environment;
  #view: View | undefined;
  #files = noFiles();
  /** What the remembered parts were made with, besides their backend. */
  #surroundings = "";
  #parts = new WeakMap<BackendView, Part>();

  constructor(template: TemplateSource, paths: FilePaths) {
    this.#template = template;
    this.#paths = paths;
    this.#environment = this.#makeEnvironment();
  }

  /**
   * @returns the text and the files it refers to
   * @throws SluiceError ERR_TEMPLATE_FAILED or ERR_VALUE_UNSAFE, naming template, line and column
   */
  render(view: View): Part {
    const { http, stats, sluice, haproxy, tls } = view;
    const surroundings: Surroundings = { http, stats, sluice, haproxy, tls };
    const last = this.#view;
    // The very same objects say the same; most changes leave them.
    const same =
      last !== undefined &&
      last.http === http &&
      last.stats === stats &&
      last.sluice === sluice &&
      last.tls === tls &&
      last.haproxy === haproxy;
    if (!same) {
      const key = JSON.stringify(surroundings);
      if (key !== this.#surroundings) {
        this.#surroundings = key;
        this.#parts = new WeakMap();
      }
    }
    this.#checks.reset();
    this.#files = noFiles();
    this.#view = view;
    try {
      const text = this.#environment.render(mainTemplate(this.#template), view);
      return { text: withLastNewline(text), ...this.#files };
    } catch (thrown) {
      throw templateError(this.#template.path, this.#checks, thrown);
    }
  }

  #makeEnvironment(): nunjucks.Environment {
    const environment = new nunjucks.Environment(this.#loader(), templateOptions);
    // What compiled templates call, see compiler.ts.
    Object.assign(environment, { checks: this.#checks });
    for (const [name, filter] of Object.entries({ quote, format, words, token, host, duration })) {
      environment.addFilter(name, filter);
    }
    environment.addFilter("random", () => {
      throw new SluiceError("ERR_TEMPLATE_FAILED", "the same input has to give the same configuration");
    });
    environment.addGlobal("backend", (one: unknown) => this.#backend(one));
    environment.addGlobal("mapFile", (name: unknown, rows: unknown, keyField: unknown, valueField: unknown) =>
      addMap(this.#files, this.#paths, name, rows, keyField, valueField),
    );
    environment.addGlobal("hasAsset", (name: unknown) => hasAsset(this.#template, name));
    environment.addGlobal("authority", (name: unknown) => authority(this.#view, name));
    environment.addGlobal("haproxyAtLeast", (version: unknown) => haproxyAtLeast(this.#view, version));
    environment.addGlobal("grpcHealthCheck", grpcHealthCheck);
    environment.addGlobal("leaveOut", (backend: unknown, reason: unknown, server?: unknown) => {
      this.#files.excluded.push(leftOut(backend, reason, server));
      return "";
    });
    environment.addGlobal("asset", (name: unknown) => addAsset(this.#files, this.#paths, this.#template, name));
    return environment;
  }

  /** Finds templates among the sources, compiles each once. */
  #loader(): nunjucks.ILoader {
    return {
      getSource: (name) => {
        const text = Object.hasOwn(this.#template.sources, name) ? this.#template.sources[name] : undefined;
        // nunjucks takes "nothing" for "not found" and a compiled template for its source; its types know neither.
        if (text === undefined) return undefined as unknown as nunjucks.LoaderSource;
        const source = { src: { type: "code", obj: this.#compile(name, text) }, path: name, noCache: false };
        return source as unknown as nunjucks.LoaderSource;
      },
    };
  }

  #compile(name: string, text: string): object {
    try {
      return compileTemplate(name, text);
    } catch (thrown) {
      const { lineno, colno } = (thrown ?? {}) as { readonly lineno?: number; readonly colno?: number };
      return this.#checks.fail({
        template: name,
        // Without a line: something was left open and the text came to its end.
        line: typeof lineno === "number" ? lineno : text.trimEnd().split("\n").length,
        ...(typeof colno === "number" && { column: colno }),
        reason: thrown instanceof Error ? thrown.message : String(thrown),
        cause: thrown,
      });
    }
  }

  #backend(one: unknown): string {
    const view = this.#view;
    if (view === undefined || !isBackend(one)) {
      throw new SluiceError("ERR_TEMPLATE_FAILED", "it takes one of `backends`");
    }
    let part = this.#parts.get(one);
    if (part === undefined) {
      part = this.#renderPart(one, view);
      this.#parts.set(one, part);
    }
    for (const [path, text] of part.maps) this.#files.maps.set(path, text);
    for (const [path, text] of part.assets) this.#files.assets.set(path, text);
    this.#files.excluded.push(...part.excluded);
    return part.text;
  }

  /** The part sees its backend and nothing that grows with the fleet: else its text could not be kept. */
  #renderPart(b: BackendView, { http, stats, sluice, haproxy, tls }: View): Part {
    const outer = this.#files;
    const files = noFiles();
    this.#files = files;
    try {
      const context = { b, http, stats, sluice, tls, ...(haproxy !== undefined && { haproxy }) };
      return { text: withLastNewline(this.#environment.render(backendPartial, context)), ...files };
    } catch (thrown) {
      this.#checks.blame(b.name);
      throw thrown;
    } finally {
      this.#files = outer;
    }
  }
}

/** Backends of a view are frozen; what a template makes itself is not, and could change behind a remembered text. */
function isBackend(value: unknown): value is BackendView {
  return (
    typeof value === "object" && value !== null && Object.isFrozen(value) && "servers" in value && "sources" in value
  );
}

function withLastNewline(text: string): string {
  return `${text.trimEnd()}\n`;
}
