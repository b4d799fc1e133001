"""Models: labels, training recipes, ONNX export, bundles with their cards, and the predictor that reads them."""
