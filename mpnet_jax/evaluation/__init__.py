"""From fixed mixtures to scores: separation, counting and localisation of a trained run."""
