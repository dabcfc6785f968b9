import type { CatalogSettings } from "../../src/catalog/selection.ts";
import { settingsSchema } from "../../src/settings/schema.ts";

/** What of the settings the catalog goes by: the defaults, without overrides, which a scripted Consul knows nothing of. */
export function catalogSettings(more: Partial<CatalogSettings> = {}): CatalogSettings {
  return { ...settingsSchema.parse({}).services, overrides: "off", ...more };
}
