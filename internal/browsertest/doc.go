// Package browsertest drives a real headless Chromium in tests, over the pipe of the Chrome
// DevTools Protocol (https://chromedevtools.github.io/devtools-protocol/). Only tests import
// it.
package browsertest
