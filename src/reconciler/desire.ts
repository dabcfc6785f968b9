import type { CatalogService, Override } from "../catalog/types.ts";
import { addGlobalLines, hasStatsSocket } from "../haproxy/config/global-lines.ts";
import type { SectionCache } from "../haproxy/config/parse.ts";
import { parseConfig } from "../haproxy/config/parse.ts";
import type { Desired } from "../haproxy/plan/types.ts";
import { createRouter } from "../routing/route.ts";
import type { Admitted, Exclusion, LoadBalancer } from "../routing/types.ts";
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
  /** By service name: what operators wrote of them. */
  readonly overrides?: ReadonlyMap<string, Override>;
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
): (
  services: ReadonlyMap<string, CatalogService>,
  inputs: Inputs,
  admitted: Admitted,
  doubted?: Admitted,
  overrides?: ReadonlyMap<string, Override>,
  closedPorts?: ReadonlyMap<number, string>,
) => Wish {
  const route = createRouter();
  return (services, inputs, admitted, doubted, overrides, closedPorts) => {
    const loadBalancer = route(services, inputs.settings, admitted, doubted, overrides, closedPorts);
    const rendered = render.render(loadBalancer, inputs.settings, inputs.template);
    const parsed = parseConfig(rendered.text, sections);
    // A template that opens no socket of ours gets one: without it nothing could be changed at run time.
    const config = hasStatsSocket(parsed, runtimeSocket)
      ? parsed
      : addGlobalLines(parsed, { statsSocket: runtimeSocket });
    return {
      inputs,
      services,
      ...(overrides !== undefined && { overrides }),
      loadBalancer: withExcluded(loadBalancer, rendered.excluded),
      desired: { config, maps: rendered.maps },
      assets: rendered.assets,
    };
  };
}

/** What the template could not give is left out like what routing could not. */
function withExcluded(loadBalancer: LoadBalancer, more: readonly Exclusion[]): LoadBalancer {
  return more.length === 0 ? loadBalancer : { ...loadBalancer, excluded: [...loadBalancer.excluded, ...more] };
}
