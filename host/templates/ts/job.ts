// The functions that wit/world.wit exports.
import { job } from "./clockjack.js";
import { greeting } from "./greeting.js";

export const hello: World["hello"] = job((name) => {
  console.info(`greeting ${name}`);
  return greeting(name);
});
