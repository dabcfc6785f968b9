import type { RenderPort, TemplateSource } from "../reconciler/ports.ts";
import type { LoadBalancer } from "../routing/types.ts";
import type { Settings } from "../settings/schema.ts";
import { CompiledTemplate } from "./compiled-template.ts";
import type { FilePaths } from "./files.ts";
import type { Rendered } from "./types.ts";
import { Viewer, type ViewFacts } from "./view.ts";

export interface RenderPaths extends FilePaths {
  /** The state directory. */
  readonly directory: string;
  /** Path of the stats socket Sluice talks to. */
  readonly runtimeSocket: string;
}

export interface RendererOptions {
  readonly paths: RenderPaths;
  /** Sluice's version. Default: `unknown`. */
  readonly version?: string;
  /** As `haproxy -v` or `show info` has it; not given where HAProxy cannot be asked. */
  readonly haproxyVersion?: string;
}

/** Templates kept compiled: the newest and the last good one, between which a bad edit makes the operator go. */
const mostCompiled = 2;

/**
 * Turns a load balancer into HAProxy's configuration. Pure but for its memory: the same input gives the same output,
 * and what did not change since the last call (by identity of the backends) costs next to nothing.
 */
export class Renderer implements RenderPort {
  readonly #paths: RenderPaths;
  readonly #viewer: Viewer;
  /** By digest, least recently used first. */
  readonly #compiled = new Map<string, CompiledTemplate>();

  constructor({ paths, version = "unknown", haproxyVersion }: RendererOptions) {
    this.#paths = paths;
    const facts: ViewFacts = { directory: paths.directory, runtimeSocket: paths.runtimeSocket, version };
    this.#viewer = new Viewer(facts, haproxyVersion);
  }

  /** HAProxy was replaced by another version: what is rendered from now on is for that one. */
  set haproxyVersion(text: string) {
    this.#viewer.haproxyVersion = text;
  }

  /**
   * @throws SluiceError ERR_TEMPLATE_FAILED where the template cannot be run, ERR_VALUE_UNSAFE where a value cannot be
   * carried; both name template, line and column where there is one
   */
  render(loadBalancer: LoadBalancer, settings: Settings, template: TemplateSource): Rendered {
    return this.#compile(template).render(this.#viewer.view(loadBalancer, settings));
  }

  #compile(template: TemplateSource): CompiledTemplate {
    const key = `${template.digest} ${template.path}`;
    const compiled = this.#compiled.get(key) ?? new CompiledTemplate(template, this.#paths);
    this.#compiled.delete(key);
    this.#compiled.set(key, compiled);
    for (const oldest of this.#compiled.keys()) {
      if (this.#compiled.size <= mostCompiled) break;
      this.#compiled.delete(oldest);
    }
    return compiled;
  }
}
