// SPDX-License-Identifier: Apache-2.0
// client.js OPTIONS: the scenario in Node; prints the record as a JSON list. NODE_PATH has the binding and Probe.js.
"use strict";
const {Ice, Glacier2} = require("ice");
const {Probe} = require("Probe");
const {run} = require("./scenario");

run({Ice, Glacier2, Probe}, JSON.parse(process.argv[2])).then(lines => console.log(JSON.stringify(lines)));
