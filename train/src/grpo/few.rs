//! Many terms with odds in, a few of them with weights that stand for all out.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// At most `count` different ones of those with `odds`, each with a weight, so that sums by these weights have the expectation of sums
/// by the odds over all. What is likelier than a threshold is taken with its own odds, of the others each by its share and with the
/// threshold as its weight, evenly spread: of all unbiased choices of so many the one whose weights err least in the square (Fearnhead
/// and Clifford 2003, On-line inference for hidden Markov models via particle filters).
pub(super) fn few_of(odds: &[f64], count: usize, rng: &mut ChaCha8Rng) -> Vec<(usize, f64)> {
    let mut falling: Vec<usize> = (0..odds.len()).filter(|&i| odds[i] > 0.0).collect();
    if falling.len() <= count || count == 0 {
        return falling.into_iter().take(count).map(|i| (i, odds[i])).collect();
    }
    falling.sort_by(|a, b| odds[*b].total_cmp(&odds[*a]));
    // for each, what it and all less likely ones have together; small ones first, so that none is lost
    let mut rest: Vec<f64> = Vec::with_capacity(falling.len());
    let mut sum = 0.0;
    for &i in falling.iter().rev() {
        sum += odds[i];
        rest.push(sum);
    }
    rest.reverse();
    // the threshold with which the others' expected number is what the likely ones leave
    let mut likely = 0;
    let threshold = |likely: usize| rest[likely] / (count - likely) as f64;
    while likely + 1 < count && odds[falling[likely]] >= threshold(likely) {
        likely += 1;
    }
    let threshold = threshold(likely);
    let mut chosen: Vec<(usize, f64)> = falling[..likely].iter().map(|&i| (i, odds[i])).collect();
    let mut next = rng.random::<f64>() * threshold;
    for &i in &falling[likely..] {
        next -= odds[i];
        if next < 0.0 && chosen.len() < count {
            next += threshold;
            chosen.push((i, odds[i].max(threshold)));
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn a_few_stand_for_all_without_bias() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let odds: Vec<f64> =
            [0.6, 0.0, 0.3, 0.05].into_iter().chain((0..40).map(|i| 0.002 * f64::from(i % 5))).collect();
        let worth: Vec<f64> = (0..odds.len()).map(|_| rng.random_range(-1.0..1.0)).collect();
        let whole: f64 = odds.iter().zip(&worth).map(|(p, x)| p * x).sum();
        for count in [1, 2, 3, 7, 20] {
            const RUNS: usize = 20_000;
            let (mut sum, mut weights) = (0.0, 0.0);
            for _ in 0..RUNS {
                let chosen = few_of(&odds, count, &mut rng);
                let different: std::collections::BTreeSet<usize> = chosen.iter().map(|(i, _)| *i).collect();
                // the last may be missed by rounding alone
                assert!(different.len() == chosen.len() && chosen.len() <= count && chosen.len() + 1 >= count);
                assert!(chosen.iter().all(|(i, weight)| *weight >= odds[*i] && odds[*i] > 0.0));
                if count > 3 {
                    assert!(chosen.contains(&(0, 0.6)) && chosen.contains(&(2, 0.3)));
                }
                sum += chosen.iter().map(|(i, weight)| weight * worth[*i]).sum::<f64>();
                weights += chosen.iter().map(|(_, weight)| weight).sum::<f64>();
            }
            let (mean, all) = (sum / RUNS as f64, odds.iter().sum::<f64>());
            assert!((mean - whole).abs() < 0.02, "{count}: {mean} {whole}");
            assert!((weights / RUNS as f64 - all).abs() < 1e-3 * all, "{count}");
        }
        assert_eq!(few_of(&odds, 100, &mut rng).iter().map(|(_, w)| w).sum::<f64>(), odds.iter().sum::<f64>());
        assert!(few_of(&[], 3, &mut rng).is_empty() && few_of(&odds, 0, &mut rng).is_empty());
    }
}
