import type { CatalogService } from "../catalog/types.ts";
import { addGlobalLines, hasStatsSocket } from "../haproxy/config/global-lines.ts";
import type { SectionCache } from "../haproxy/config/parse.ts";
import { parseConfig } from "../haproxy/config/parse.ts";
import type { Desired } from "../haproxy/plan/types.ts";
import { createRouter } from "../routing/route.ts";
import type { Admitted, LoadBalancer } from "../routing/types.ts";
import type { Settings } from "../settings/schema.ts";
import type { RenderPort, TemplateSource } from "./ports.ts";

/** What a person decides: the settings and the template. */
export interface Inputs {
  readonly settings: Settings;
  readonly template: TemplateSource;
}

/** The whole wanted state, derived from services and inputs. */
export interface Wish {
  readonly inputs: Inputs;
  /** By key string: what it was made of. */
  readonly services: ReadonlyMap<string, CatalogService>;
  readonly loadBalancer: LoadBalancer;
  readonly desired: Desired;
  readonly assets: ReadonlyMap<string, string>;
}

/**
 * The pure way from services to the wanted configuration: routing → render → parse. What did not change since the last
 * call is remembered by each step. Throws what the renderer throws.
 *
 * @param runtimeSocket path of the Runtime API's socket, which every configuration must open
 */
export function createDesire(
  render: RenderPort,
  sections: SectionCache,
  runtimeSocket: string,
): (services: ReadonlyMap<string, CatalogService>, inputs: Inputs, admitted: Admitted, doubted?: Admitted) => Wish {
  const route = createRouter();
  return (services, inputs, admitted, doubted) => {
    const loadBalancer = route(services, inputs.settings, admitted, doubted);
    const rendered = render.render(loadBalancer, inputs.settings, inputs.template);
    const parsed = parseConfig(rendered.text, sections);
    // A template that opens no socket of ours gets one: without it nothing could be changed at run time.
    const config = hasStatsSocket(parsed, runtimeSocket)
      ? parsed
      : addGlobalLines(parsed, { statsSocket: runtimeSocket });
    return { inputs, services, loadBalancer, desired: { config, maps: rendered.maps }, assets: rendered.assets };
  };
}
