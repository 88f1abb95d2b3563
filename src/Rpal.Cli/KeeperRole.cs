using Rpal.Cli.Bench;
using Rpal.Hosting.Keeping;

namespace Rpal.Cli;

/// <summary>This program once more, as the keeper of a family: see <see cref="Keeper"/>.</summary>
internal static class KeeperRole
{
    private const string PrintingWord = "keeper-role", SilentWord = "silent-keeper-role";

    public static IReadOnlyList<string> Command(bool print)
    {
        (string command, string[] arguments) = SelfCommand.With(print ? PrintingWord : SilentWord);
        return [command, .. arguments];
    }

    /// <returns>The exit code, or null: this is another role.</returns>
    public static int? TryRun(string[] args) => args is [PrintingWord or SilentWord, .. var words] ? Keeper.Run(words, args[0] == PrintingWord) : null;
}
