import type { RenderPort, TemplateSource } from "../reconciler/ports.ts";
import type { LoadBalancer } from "../routing/types.ts";
import type { Settings } from "../settings/schema.ts";
import { CompiledTemplate } from "./compiled-template.ts";
import { assetPath, type FilePaths } from "./files.ts";
import { type Material, noMaterial, type Rendered } from "./types.ts";
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
  /** Default: none. */
  readonly material?: Material;
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

  /** Copies of the files of authorities, by path. */
  #authorities: ReadonlyMap<string, string> = new Map();

  constructor({ paths, version = "unknown", haproxyVersion, material = noMaterial }: RendererOptions) {
    this.#paths = paths;
    const facts: ViewFacts = { directory: paths.directory, runtimeSocket: paths.runtimeSocket, version };
    this.#viewer = new Viewer(facts, haproxyVersion);
    this.material = material;
  }

  /** Files of people have changed: what is rendered from now on has these. */
  set material({ authorities, ...material }: Material) {
    const copies = authorities.map(({ name, text }) => ({ name, text, path: assetPath(this.#paths, name, text) }));
    this.#authorities = new Map(copies.map(({ path, text }) => [path, text]));
    this.#viewer.material = { ...material, authorities: copies.map(({ name, path }) => ({ name, path })) };
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
    const rendered = this.#compile(template).render(this.#viewer.view(loadBalancer, settings));
    if (this.#authorities.size === 0) return rendered;
    return { ...rendered, assets: new Map([...rendered.assets, ...this.#authorities]) };
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
