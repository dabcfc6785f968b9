import axios from "axios";
import { z } from "zod";
import { errorCodes, SluiceError } from "../support/errors.ts";

const refusal = z.object({
  error: z.object({
    code: z.enum(Object.keys(errorCodes) as [keyof typeof errorCodes]),
    message: z.string(),
    details: z.record(z.string(), z.unknown()).default({}),
  }),
});

/**
 * Asks the running operator over its admin socket.
 *
 * @param body of a POST, as JSON
 * @throws {SluiceError} ERR_ADMIN_UNREACHABLE when nobody answers there; the operator's own error when it refuses
 */
export async function askOperator<T>(
  socketPath: string,
  path: string,
  method: "GET" | "POST" = "GET",
  body: object = {},
): Promise<T> {
  try {
    const { data } = await axios.request<T>({
      method,
      url: `http://sluice${path}`,
      socketPath,
      // Without a body axios says a form is coming, which the server does not take.
      ...(method === "POST" && { data: body }),
      timeout: 10_000,
      maxRedirects: 0,
      proxy: false,
    });
    return data;
  } catch (thrown) {
    const refused = refusal.safeParse(axios.isAxiosError(thrown) ? thrown.response?.data : undefined);
    if (refused.success) {
      const { code, message, details } = refused.data.error;
      throw new SluiceError(code, message, { cause: thrown, details });
    }
    const reason = axios.isAxiosError(thrown) ? (thrown.code ?? thrown.message) : String(thrown);
    throw new SluiceError(
      "ERR_ADMIN_UNREACHABLE",
      `no operator answers at ${socketPath} (${reason}); start one with \`sluice run\`, or name its state directory with --haproxy-directory`,
      { cause: thrown, retryable: true },
    );
  }
}
