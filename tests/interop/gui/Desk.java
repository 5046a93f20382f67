// SPDX-License-Identifier: Apache-2.0
import java.awt.Component;
import java.awt.Container;
import java.awt.Window;
import java.awt.event.WindowEvent;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.FutureTask;
import javax.swing.AbstractButton;
import javax.swing.JComboBox;
import javax.swing.JDialog;
import javax.swing.JFrame;
import javax.swing.JLabel;
import javax.swing.JList;
import javax.swing.JMenu;
import javax.swing.JMenuBar;
import javax.swing.JMenuItem;
import javax.swing.JTable;
import javax.swing.JToolBar;
import javax.swing.JTree;
import javax.swing.ListModel;
import javax.swing.SwingUtilities;
import javax.swing.text.JTextComponent;
import javax.swing.tree.TreePath;

/**
 * IceGridGUI with somebody who sits before it: runs the program's own main in this process and does what lines of the standard
 * input say, each answered by lines of text and one with a dot. What would open a dialog is done later, so that the next line
 * finds the dialog.
 */
public class Desk
{
    public static void main(String[] args) throws Exception
    {
        PrintStream out = System.out;
        System.setOut(System.err);
        com.zeroc.IceGridGUI.Main.main(args);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for(String line = in.readLine(); line != null; line = in.readLine())
        {
            String[] words = line.split("\t", -1);
            try
            {
                for(String answer : onTheEventThread(() -> obey(words)))
                {
                    out.println(answer.isEmpty() || answer.equals(".") ? " " + answer : answer.replace("\n", "\n  "));
                }
            }
            catch(Exception e)
            {
                out.println("!" + e.getCause());
            }
            out.println(".");
            out.flush();
        }
        System.exit(0);
    }

    private static <T> T onTheEventThread(Callable<T> work) throws Exception
    {
        FutureTask<T> task = new FutureTask<>(work);
        SwingUtilities.invokeLater(task);
        return task.get();
    }

    private static List<String> obey(String[] words)
    {
        List<String> answer = new ArrayList<>();
        switch(words[0])
        {
        case "menu": // its path
            later(menuItem(words));
            break;
        case "press": // the button's text, in the topmost window
            later(button(words[1]));
            break;
        case "write": // the number of the field, its text
            all(top(), JTextComponent.class).get(Integer.parseInt(words[1])).setText(words[2]);
            break;
        case "pick": // the number of the list of choices, the choice
            pick(all(top(), JComboBox.class).get(Integer.parseInt(words[1])), words[2]);
            break;
        case "choose": // the path of something in the tree; nothing: its root
            tree().setSelectionPath(path(words));
            break;
        case "windows":
            windows().forEach(w -> answer.add(title(w)));
            break;
        case "close":
            top().dispatchEvent(new WindowEvent(top(), WindowEvent.WINDOW_CLOSING));
            break;
        case "tree":
            tell(tree(), answer);
            break;
        case "menus": // what can be done now
            menus("", desktop().getJMenuBar(), answer);
            break;
        case "look": // a window's beginning, or nothing: the topmost
            tell(words.length > 1 ? windowOf(words[1]) : top(), answer);
            break;
        default:
            throw new IllegalArgumentException(words[0]);
        }
        return answer;
    }

    private static void later(AbstractButton b)
    {
        if(!b.isEnabled())
        {
            throw new IllegalStateException("disabled: " + b.getText());
        }
        SwingUtilities.invokeLater(() -> b.doClick(0));
    }

    private static void pick(JComboBox<?> box, String choice)
    {
        box.setSelectedItem(choice);
        if(!choice.equals(String.valueOf(box.getSelectedItem())))
        {
            throw new IllegalStateException("no choice " + choice);
        }
    }

    // What there is.

    private static List<Window> windows()
    {
        List<Window> shown = new ArrayList<>(List.of(Window.getWindows()));
        shown.removeIf(w -> !w.isShowing());
        return shown;
    }

    private static Window top()
    {
        List<Window> shown = windows();
        return shown.get(shown.size() - 1);
    }

    private static Window windowOf(String begin)
    {
        return windows().stream().filter(w -> title(w).startsWith(begin)).findFirst().orElseThrow();
    }

    private static JFrame desktop()
    {
        return (JFrame)windows().stream().filter(w -> w instanceof JFrame).findFirst().orElseThrow();
    }

    private static String title(Window w)
    {
        return w instanceof JFrame ? ((JFrame)w).getTitle() : w instanceof JDialog ? ((JDialog)w).getTitle() : "window";
    }

    private static <T extends Component> List<T> all(Container root, Class<T> type)
    {
        List<T> found = new ArrayList<>();
        for(Component c : root.getComponents())
        {
            if(c.isShowing() && type.isInstance(c))
            {
                found.add(type.cast(c));
            }
            if(c.isShowing() && c instanceof Container)
            {
                found.addAll(all((Container)c, type));
            }
        }
        return found;
    }

    private static AbstractButton button(String text)
    {
        return all(top(), AbstractButton.class).stream().filter(b -> text.equals(b.getText())).findFirst().orElseThrow();
    }

    private static JMenuItem menuItem(String[] words)
    {
        Component[] items = desktop().getJMenuBar().getComponents();
        JMenuItem found = null;
        for(int i = 1; i < words.length; ++i)
        {
            String text = words[i];
            found = (JMenuItem)Arrays.stream(items).filter(
                c -> c instanceof JMenuItem && text.equals(((JMenuItem)c).getText())).findFirst().orElseThrow();
            items = found instanceof JMenu ? ((JMenu)found).getMenuComponents() : items;
        }
        return found;
    }

    private static JTree tree()
    {
        JTree tree = all(desktop(), JTree.class).get(0);
        for(int row = 0; row < tree.getRowCount(); ++row)
        {
            tree.expandRow(row);
        }
        return tree;
    }

    private static TreePath path(String[] words)
    {
        JTree tree = tree();
        for(int row = 0; row < tree.getRowCount(); ++row)
        {
            TreePath p = tree.getPathForRow(row);
            boolean same = p.getPathCount() == words.length;
            for(int i = 1; same && i < words.length; ++i)
            {
                same = p.getPathComponent(i).toString().startsWith(words[i]);
            }
            if(same)
            {
                return p;
            }
        }
        throw new IllegalStateException("not in the tree");
    }

    // Telling.

    private static void tell(JTree tree, List<String> answer)
    {
        for(int row = 0; row < tree.getRowCount(); ++row)
        {
            TreePath p = tree.getPathForRow(row);
            Component c = tree.getCellRenderer().getTreeCellRendererComponent(
                tree, p.getLastPathComponent(), false, true, true, row, false);
            String text = p.getLastPathComponent().toString();
            if(c instanceof JLabel)
            {
                JLabel label = (JLabel)c;
                text = label.getText() + (label.getToolTipText() == null ? "" : " [" + label.getToolTipText() + "]");
            }
            answer.add("  ".repeat(p.getPathCount() - 1) + text);
        }
    }

    private static void menus(String indent, Container menu, List<String> answer)
    {
        for(Component c : menu instanceof JMenu ? ((JMenu)menu).getMenuComponents() : menu.getComponents())
        {
            if(c instanceof JMenuItem && c.isEnabled())
            {
                answer.add(indent + ((JMenuItem)c).getText());
                menus(indent + "  ", (JMenuItem)c, answer);
            }
        }
    }

    private static void tell(Container root, List<String> answer)
    {
        for(Component c : root.getComponents())
        {
            if(!c.isShowing() || c instanceof JMenuBar || c instanceof JToolBar || c instanceof JTree)
            {
                continue;
            }
            if(c instanceof JLabel && ((JLabel)c).getText() != null && !((JLabel)c).getText().isEmpty())
            {
                answer.add(((JLabel)c).getText());
            }
            else if(c instanceof JTextComponent)
            {
                answer.add("= " + ((JTextComponent)c).getText());
            }
            else if(c instanceof AbstractButton && !String.valueOf(((AbstractButton)c).getText()).isEmpty())
            {
                AbstractButton b = (AbstractButton)c;
                answer.add("(" + b.getText() + ")" + (b.isEnabled() ? "" : " off") + (b.isSelected() ? " on" : ""));
            }
            else if(c instanceof JTable)
            {
                tell((JTable)c, answer);
            }
            else if(c instanceof JList)
            {
                ListModel<?> items = ((JList<?>)c).getModel();
                for(int i = 0; i < items.getSize(); ++i)
                {
                    answer.add("| " + items.getElementAt(i));
                }
            }
            else if(c instanceof JComboBox)
            {
                answer.add("> " + ((JComboBox<?>)c).getSelectedItem());
            }
            if(c instanceof Container && !(c instanceof JComboBox))
            {
                tell((Container)c, answer);
            }
        }
    }

    private static void tell(JTable table, List<String> answer)
    {
        for(int row = 0; row < table.getRowCount(); ++row)
        {
            StringBuilder cells = new StringBuilder();
            for(int column = 0; column < table.getColumnCount(); ++column)
            {
                cells.append("| ").append(table.getValueAt(row, column)).append(' ');
            }
            answer.add(cells.toString().trim());
        }
    }
}
