/** Ends with 0 when the server of this container says that it serves: the image's HEALTHCHECK. */
import { credentials } from "@grpc/grpc-js";
import { load } from "./load.js";

const { Health } = load("health.proto").grpc.health.v1;
const client = new Health(`127.0.0.1:${process.env.APP_PORT ?? 7777}`, credentials.createInsecure());
client.Check({ service: "" }, { deadline: Date.now() + 2_000 }, (_error, answer) => {
  process.exit(answer?.status === "SERVING" ? 0 : 1);
});
